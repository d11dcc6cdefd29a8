// tests/sqlcmd/main_sqlcmd.cpp: the main function of both programs here; its last line says how
// many cases passed.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <csignal>
#include <cstdio>

namespace {

unsigned passed = 0;
unsigned failed = 0;

struct LastLine : doctest::IReporter {
  explicit LastLine(const doctest::ContextOptions&) {}
  void test_run_end(const doctest::TestRunStats& stats) override {
    failed = stats.numTestCasesFailed;
    passed = stats.numTestCasesPassingFilters - failed;
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("last_line", 1, LastLine);

}  // namespace

int main(int count, char** arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  doctest::Context context(count, arguments);
  context.setOption("no-version", true);
  const int result = context.run();
  std::printf("%u passed, %u failed\n", passed, failed);
  return result;
}

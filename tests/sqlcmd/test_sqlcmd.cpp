// tests/sqlcmd/test_sqlcmd.cpp: sqlcmd as a client meets it: whole round trips through real
// processes, and every way in which they may fail. Times are not asserted; a watchdog ends a hang.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client.hpp"

using namespace sqlcmd_test;

namespace {

/// "VIRTUAL_DEVICE = 'x', VIRTUAL_DEVICE = 'x1'..."
std::string devices(const std::string& set_name, std::uint32_t count) {
  std::string text;
  for (std::uint32_t i = 0; i < count; ++i) {
    text += (i > 0 ? ", " : "") + std::string("VIRTUAL_DEVICE = '") + set_name +
            (i > 0 ? std::to_string(i) : "") + "'";
  }
  return text;
}

ClientPlan plan_for(const std::string& set_name, std::uint32_t count, const std::string& before,
                    const std::string& after) {
  ClientPlan plan;
  plan.set_name = set_name;
  plan.devices_count = count;
  plan.statement = before + " " + devices(set_name, count) + " " + after;
  return plan;
}

ClientPlan backup_plan(std::uint32_t count, const std::string& with = "") {
  return plan_for("{set-b}", count, "BACKUP DATABASE [shop] TO", with);
}

ClientPlan restore_plan(std::uint32_t count, const std::string& with = "") {
  return plan_for("{set-r}", count, "RESTORE DATABASE [copy] FROM", with);
}

Media backed_up(std::uint32_t count, const std::string& with = "") {
  Media media;
  const Outcome outcome = run_client(backup_plan(count, with), media);
  REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.output);
  return media;
}

void check_failed(const Outcome& outcome, std::initializer_list<int> numbers) {
  CHECK_MESSAGE(outcome.exit_code == 1, outcome.output);
  CHECK_MESSAGE(outcome.has_messages(numbers), outcome.output);
  const bool is_last_word = outcome.output.ends_with(" is terminating abnormally.\n");
  const bool logs_after_it = outcome.has("Error: 3041, Severity: 16, State: 1.\n");
  CHECK_MESSAGE((is_last_word || logs_after_it), outcome.output);
}

/// Where `text` stands in what was said; its absence fails the test.
std::size_t place_of(const Outcome& outcome, const std::string& text) {
  const std::size_t at = outcome.output.find(text);
  CHECK_MESSAGE(at != std::string::npos, outcome.output);
  return at;
}

/// A client that takes its time over one kind of command.
std::function<std::optional<Answer>(std::uint32_t, const vdset_command&, Media&)> slow_at(
    std::uint32_t code) {
  return [code](std::uint32_t, const vdset_command& command, Media&) -> std::optional<Answer> {
    if (command.code == code) ::usleep(1500000);
    return {};
  };
}

/// sqlcmd gets the signal after a second.
Outcome run_client_with_signal(const std::string& signal, const ClientPlan& plan, Media& media) {
  const std::string program = std::getenv("SQLCMD");
  ::setenv("SQLCMD", ("timeout --preserve-status -s " + signal + " 1 " + program).c_str(), 1);
  const Outcome outcome = run_client(plan, media);
  ::setenv("SQLCMD", program.c_str(), 1);
  return outcome;
}

std::size_t files_in(const std::string& directory) {
  const std::filesystem::directory_iterator begin(directory);
  return static_cast<std::size_t>(std::distance(begin, std::filesystem::directory_iterator()));
}

}  // namespace

TEST_CASE("the published sample: one device, FORMAT and REPLACE, a megabyte per transfer") {
  const Place place;
  make_database(place.database("shop"), 6000, "delete");
  Media media;
  const Outcome backup = run_client(backup_plan(1, "WITH FORMAT, MAXTRANSFERSIZE=1048576"), media);
  CHECK_MESSAGE(backup.exit_code == 0, backup.output);
  CHECK(place_of(backup, "Processed ") <
        place_of(backup, "pages for database 'shop', file 'shop'"));
  CHECK(place_of(backup, " on file 1.\nBACKUP DATABASE successfully processed ") > 0);
  CHECK(backup.output.ends_with(" MB/sec).\n"));
  CHECK_FALSE(backup.has("Msg "));
  CHECK(backup.config.max_transfer_bytes == 1048576);
  CHECK(backup.config.block_bytes == 512);
  CHECK((backup.config.features & VDSET_FEATURE_WRITE_MEDIA) != 0);
  CHECK(backup.devices[0].end == VDSET_E_CLOSE);
  CHECK(backup.closed == VDSET_OK);
  CHECK(backup.devices[0].commands.back() == VDSET_COMMAND_FLUSH);
  const Outcome restore =
      run_client(restore_plan(1, "WITH REPLACE, MAXTRANSFERSIZE=1048576"), media);
  CHECK_MESSAGE(restore.exit_code == 0, restore.output);
  CHECK(restore.devices[0].end == VDSET_E_CLOSE);
  CHECK(restore.devices[0].reads_at_end == 0);
  CHECK(restore.devices[0].read_bytes == media[0].size());
  CHECK(content_of(place.database("copy")) == content_of(place.database("shop")));
  CHECK(files_in(place.directory() + "/databases") == 2);
}

TEST_CASE("four devices; a write-ahead log; STATS; other sizes when restored; any order") {
  const Place place;
  make_database(place.database("shop"), 6000, "wal");
  const Media media = backed_up(4, "WITH STATS = 25, MAXTRANSFERSIZE = 131072, BUFFERCOUNT = 7");
  const std::string wanted = content_of(place.database("shop"));
  for (const char* with : {"", "WITH MAXTRANSFERSIZE = 4194304, REPLACE, STATS",
                           "WITH MAXTRANSFERSIZE = 65536, REPLACE, BUFFERCOUNT = 1"}) {
    CAPTURE(with);
    Media turned = {media[2], media[0], media[3], media[1]};
    const Outcome restore = run_client(restore_plan(4, with), turned);
    CHECK_MESSAGE(restore.exit_code == 0, restore.output);
    for (const DeviceOutcome& device : restore.devices)
      CHECK(device.reads_at_end == 0);
    CHECK(content_of(place.database("copy")) == wanted);
  }
}

TEST_CASE("STATS: percentages in order, then the end") {
  const Place place;
  make_database(place.database("shop"), 20000, "delete");
  ClientPlan plan = backup_plan(1, "WITH STATS = 25");
  plan.arguments = "-m -1";
  Media media;
  const Outcome outcome = run_client(plan, media);
  CHECK(outcome.exit_code == 0);
  const std::size_t last = place_of(outcome, "100 percent processed.");
  CHECK(place_of(outcome, "Msg 3211, Level 10, State 1, Server ., Line 1\n") < last);
  CHECK(last < place_of(outcome, "Msg 4035, "));
  CHECK(place_of(outcome, "Msg 4035, ") < place_of(outcome, "Msg 3014, Level 0"));
  for (const char* step : {"25 percent", "50 percent", "75 percent"}) {
    const std::size_t at = outcome.output.find(step);  // A fast backup may pass over some.
    CHECK((at == std::string::npos || at < last));
  }
}

TEST_CASE("64 devices") {
  const Place place;
  make_database(place.database("shop"), 3000, "delete");
  Media media = backed_up(64);
  const Outcome restore = run_client(restore_plan(64), media);
  CHECK_MESSAGE(restore.exit_code == 0, restore.output);
  CHECK(content_of(place.database("copy")) == content_of(place.database("shop")));
}

TEST_CASE("an empty file is a database too") {
  const Place place;
  std::ofstream(place.database("shop")).flush();
  Media media = backed_up(2);
  const Outcome restore = run_client(restore_plan(2), media);
  CHECK_MESSAGE(restore.exit_code == 0, restore.output);
  CHECK(std::filesystem::file_size(place.database("copy")) == 0);
}

TEST_CASE("clients' ways: junk, polling, short reads, Complete, positions") {
  const Place place;
  make_database(place.database("shop"), 2000, "delete");
  const std::string wanted = content_of(place.database("shop"));
  ClientPlan backup = backup_plan(2, "WITH BLOCKSIZE=65536, BUFFERCOUNT=10, MAXTRANSFERSIZE=65536");
  ClientPlan restore = restore_plan(2, "WITH REPLACE, BLOCKSIZE=65536, MAXTRANSFERSIZE=65536");
  SUBCASE("junk in unused fields") {
    backup.writes_junk = restore.writes_junk = true;
  }
  SUBCASE("polling") {
    backup.polls = restore.polls = true;
  }
  SUBCASE("RequestComplete in both directions") {
    backup.features = restore.features = VDSET_FEATURE_REQUEST_COMPLETE;
  }
  SUBCASE("one thread that serves the devices in turn, with the fewest buffers") {
    backup = backup_plan(2, "WITH BUFFERCOUNT = 1");
    restore = restore_plan(2, "WITH REPLACE, BUFFERCOUNT = 1");
    backup.in_turn = restore.in_turn = true;
  }
  SUBCASE("disk-like: positions are honoured") {
    backup.features = restore.features = VDSET_FEATURE_LIKE_DISK;
  }
  SUBCASE("tape-like") {
    backup.features = restore.features = VDSET_FEATURE_LIKE_TAPE;
  }
  SUBCASE("the end with a code of its own") {
    restore.reports_eof = true;
  }
  SUBCASE("short reads with success") {
    backup = backup_plan(2, "WITH MAXTRANSFERSIZE=65536");
    restore = restore_plan(2, "WITH REPLACE");
    restore.read_limit = 10007;
  }
  Media media;
  const Outcome made = run_client(backup, media);
  CHECK_MESSAGE(made.exit_code == 0, made.output);
  const bool asks = (backup.features & VDSET_FEATURE_REQUEST_COMPLETE) != 0;
  CHECK(((made.config.features & VDSET_FEATURE_COMPLETE_ENABLED) != 0) == asks);
  CHECK(made.devices[1].commands.back() ==
        static_cast<std::uint32_t>(asks ? VDSET_COMMAND_COMPLETE : VDSET_COMMAND_FLUSH));
  const Outcome taken = run_client(restore, media);
  CHECK_MESSAGE(taken.exit_code == 0, taken.output);
  CHECK((taken.config.features & VDSET_FEATURE_COMPLETE_ENABLED) == 0);
  CHECK(content_of(place.database("copy")) == wanted);
}

TEST_CASE("Reads are as long as the Writes were: chunked stores work") {
  const Place place;
  make_database(place.database("shop"), 3000, "delete");
  std::vector<std::int32_t> writes;
  std::vector<std::int32_t> reads;
  ClientPlan backup = backup_plan(1, "WITH MAXTRANSFERSIZE = 262144");
  backup.quirk = [&](std::uint32_t, const vdset_command& command, Media&) -> std::optional<Answer> {
    if (command.code == VDSET_COMMAND_WRITE) writes.push_back(command.size);
    return {};
  };
  Media media;
  CHECK(run_client(backup, media).exit_code == 0);
  ClientPlan restore = restore_plan(1, "WITH MAXTRANSFERSIZE = 1048576");
  restore.quirk = [&](std::uint32_t, const vdset_command& command,
                      Media&) -> std::optional<Answer> {
    if (command.code == VDSET_COMMAND_READ) reads.push_back(command.size);
    return {};
  };
  CHECK(run_client(restore, media).exit_code == 0);
  CHECK(reads == writes);
}

TEST_CASE("a client that fails a backup: the statement says who and why") {
  const Place place;
  make_database(place.database("shop"), 4000, "delete");
  ClientPlan plan = backup_plan(2);
  plan.arguments = "-r";
  std::uint32_t wanted_command = VDSET_COMMAND_WRITE;
  Answer answer;
  bool only_the_second = true;
  plan.quirk = [&](std::uint32_t device, const vdset_command& command,
                   Media&) -> std::optional<Answer> {
    const bool is_it = command.code == wanted_command && (device == 1 || !only_the_second);
    return is_it ? std::optional<Answer>(answer) : std::nullopt;
  };
  Media media;
  SUBCASE("disk full, then an orderly end") {
    answer.code = VDSET_ERROR_DISK_FULL;
    const Outcome outcome = run_client(plan, media);
    check_failed(outcome, {3202, 3013});
    CHECK(outcome.has("Error: 18210"));
    CHECK(outcome.has("write failure on backup device '{set-b}1'. Operating system error 112("));
    CHECK(outcome.devices[0].end == VDSET_E_CLOSE);
    CHECK(outcome.devices[1].end == VDSET_E_CLOSE);
    CHECK(outcome.closed == VDSET_OK);
  }
  SUBCASE("fewer bytes than given") {
    answer.bytes = 512;
    check_failed(run_client(plan, media), {3202, 3013});
  }
  SUBCASE("Flush fails") {
    wanted_command = VDSET_COMMAND_FLUSH;
    answer.code = VDSET_ERROR_WRITE_FAULT;
    check_failed(run_client(plan, media), {3271, 3013});
  }
  SUBCASE("Complete fails") {
    plan.features = VDSET_FEATURE_REQUEST_COMPLETE;
    wanted_command = VDSET_COMMAND_COMPLETE;
    answer.code = VDSET_ERROR_WRITE_FAULT;
    check_failed(run_client(plan, media), {3271, 3013});
  }
  SUBCASE("an error and SignalAbort") {
    answer.code = VDSET_ERROR_DISK_FULL;
    answer.aborts = true;
    // Whichever the server sees first: the answer, or the abort that carries the same code.
    const Outcome outcome = run_client(plan, media);
    check_failed(outcome, {3013});
    CHECK((outcome.has_messages({3202}) || outcome.has_messages({3271})));
    CHECK(outcome.has("112"));
  }
  SUBCASE("an error, then Close without a word") {
    answer.code = VDSET_ERROR_WRITE_FAULT;
    answer.leaves = true;
    only_the_second = false;
    // Whichever the server sees first: the answer, or the end, which makes answers void.
    const Outcome outcome = run_client(plan, media);
    check_failed(outcome, {3013});
    CHECK_MESSAGE((outcome.has("failed: 29(") || outcome.has_messages({3271})), outcome.output);
  }
  SUBCASE("SignalAbort alone") {
    answer.code = VDSET_ERROR_OPERATION_ABORTED;
    answer.aborts = true;
    // Whichever the server sees first: the abort, or the answer, which takes back what is queued.
    const Outcome outcome = run_client(plan, media);
    check_failed(outcome, {3013});
    const bool by_abort = outcome.has_messages({3271}) && outcome.has("995(");
    const bool by_answer = outcome.has_messages({3202}) && outcome.has("1117(");
    CHECK_MESSAGE((by_abort || by_answer), outcome.output);
  }
  SUBCASE("Close without a word") {
    answer.ends_client = true;
    only_the_second = false;
    const Outcome outcome = run_client(plan, media);
    check_failed(outcome, {3271, 3013});
    CHECK_MESSAGE(outcome.has("the client (process "), outcome.output);
    // Closing or leaving, whichever the server sees first.
    CHECK_MESSAGE((outcome.has("closed") || outcome.has("left")), outcome.output);
    CHECK(outcome.closed == VDSET_E_OPEN);
  }
}

TEST_CASE("a client's text stays on the line of the message that reports it") {
  const Place place;
  make_database(place.database("shop"), 100, "delete");
  ClientPlan plan = backup_plan(1);
  plan.quirk = [](std::uint32_t, const vdset_command& command, Media&) -> std::optional<Answer> {
    if (command.code != VDSET_COMMAND_WRITE) return {};
    Answer answer;
    answer.code = VDSET_ERROR_OPERATION_ABORTED;
    answer.aborts_first = true;
    answer.abort_text = "no\nBACKUP DATABASE successfully processed 1 pages\r\x1B[2K";
    return answer;
  };
  Media media;
  const Outcome outcome = run_client(plan, media);
  CHECK_MESSAGE(outcome.exit_code == 1, outcome.output);
  CHECK_MESSAGE(outcome.has("no BACKUP DATABASE successfully processed 1 pages  [2K"),
                outcome.output);
}

TEST_CASE("a medium's text stays on its row of the list") {
  const Place place;
  make_database(place.database("shop"), 100, "delete");
  Media media = backed_up(1, "WITH NAME = 'no\nMsg 1'");
  ClientPlan plan = plan_for("{set-l}", 1, "RESTORE HEADERONLY FROM", "");
  plan.arguments = "-W -s '|'";
  const Outcome outcome = run_client(plan, media);
  CHECK_MESSAGE(outcome.exit_code == 0, outcome.output);
  CHECK_MESSAGE(outcome.has("no Msg 1|"), outcome.output);
}

TEST_CASE("a client that fails a restore") {
  const Place place;
  make_database(place.database("shop"), 4000, "delete");
  Media media = backed_up(2);
  ClientPlan plan = restore_plan(2, "WITH REPLACE");
  SUBCASE("a read error") {
    plan.quirk = [&](std::uint32_t device, const vdset_command&, Media&) -> std::optional<Answer> {
      if (device == 0) return {};
      return Answer{VDSET_ERROR_READ_FAULT, 0, 0};
    };
    check_failed(run_client(plan, media), {3203, 3013});
  }
  SUBCASE("the end comes too early") {
    media[1].resize(media[1].size() / 2);
    check_failed(run_client(plan, media), {3208, 3013});
  }
  SUBCASE("nothing at all") {
    media[0].clear();
    check_failed(run_client(plan, media), {3208, 3013});
  }
  SUBCASE("a flipped bit") {
    media[1][media[1].size() - 5000] ^= 1;
    check_failed(run_client(plan, media), {3241, 3013});
  }
  SUBCASE("something else") {
    media[0].assign(media[0].size(), 7);
    check_failed(run_client(plan, media), {3242, 3013});
  }
  SUBCASE("one part twice") {
    media[1] = media[0];
    check_failed(run_client(plan, media), {3227, 3013});
  }
  SUBCASE("parts of two backups") {
    media[1] = backed_up(2)[1];
    check_failed(run_client(plan, media), {3258, 3013});
  }
  SUBCASE("too few parts") {
    plan = restore_plan(1);
    check_failed(run_client(plan, media), {3132, 3013});
  }
  SUBCASE("a greater BLOCKSIZE than the backup's") {
    plan = restore_plan(2, "WITH BLOCKSIZE = 4096");
    check_failed(run_client(plan, media), {3285, 3013});
  }
  CHECK(!std::filesystem::exists(place.database("copy")));
  CHECK(files_in(place.directory() + "/databases") == 1);
}

TEST_CASE("refusals reach a client that already waits, with the reason") {
  const Place place;
  make_database(place.database("shop"), 100, "delete");
  Media media;
  ClientPlan plan = backup_plan(1);
  int expected = 0;
  SUBCASE("no such database") {
    plan.statement = "BACKUP DATABASE nix TO VIRTUAL_DEVICE='{set-b}'";
    expected = 911;
  }
  SUBCASE("a name that leaves the directory") {
    plan.statement = "BACKUP DATABASE [../shop] TO VIRTUAL_DEVICE='{set-b}'";
    expected = 50003;
  }
  SUBCASE("another number of devices") {
    plan.devices_count = 2;
    expected = 3261;
  }
  SUBCASE("a database in the way") {
    plan.statement = "RESTORE DATABASE shop FROM VIRTUAL_DEVICE='{set-b}'";
    expected = 3159;
  }
  const Outcome outcome = run_client(plan, media);
  check_failed(outcome, {expected, 3013});
  CHECK(outcome.configured == VDSET_E_ABORT);
  CHECK(outcome.reason.role == 1);
  CHECK(outcome.reason.text[0] != '\0');
}

TEST_CASE("a set that nobody makes") {
  const Place place;
  make_database(place.database("shop"), 10, "delete");
  std::string output;
  CHECK(run_sqlcmd("-l 1 -b -r -Q \"BACKUP DATABASE shop TO VIRTUAL_DEVICE='x'\"", output) == 1);
  CHECK(output.find("Msg 18210,") < output.find("Msg 3201,"));
  CHECK(output.ends_with("may say more.\n"));  // 3041, in the log.
  CHECK_MESSAGE(output.find("BackupVirtualDeviceSet::Initialize: Open failure on backup device "
                            "'x'. Operating system error 0x80070002(") != std::string::npos,
                output);
  CHECK(output.find("Msg 3201,") < output.find("Msg 3013,"));
}

TEST_CASE("a client that is killed") {
  const Place place;
  make_database(place.database("shop"), 4000, "delete");
  const pid_t client = ::fork();
  REQUIRE(client >= 0);
  if (client == 0) {
    vdset_config config = {};
    config.struct_bytes = sizeof config;
    config.device_count = 1;
    vdset_set* set = nullptr;
    vdset_device* device = nullptr;
    const vdset_command* command = nullptr;
    const std::int64_t wait_ns = 30000000000;
    const bool is_served = vdset_set_create("victim", &config, nullptr, &set) == VDSET_OK &&
                           vdset_set_get_configuration(set, wait_ns, &config) == VDSET_OK &&
                           vdset_set_open_device(set, "victim", &device) == VDSET_OK &&
                           vdset_device_get_command(device, wait_ns, &command) == VDSET_OK;
    if (is_served) ::kill(::getpid(), SIGKILL);
    ::_exit(1);
  }
  Outcome outcome;
  outcome.exit_code =
      run_sqlcmd("-l 30 -b -Q \"BACKUP DATABASE shop TO VIRTUAL_DEVICE='victim'\"", outcome.output);
  int status = 0;
  CHECK(::waitpid(client, &status, 0) == client);
  CHECK(WIFSIGNALED(status));
  check_failed(outcome, {3271, 3013});
  CHECK_MESSAGE((outcome.has("died") || outcome.has("left")), outcome.output);
  CHECK(outcome.has("process " + std::to_string(client)));
}

TEST_CASE("a signal to sqlcmd: the client is told, and the signal has its way") {
  const Place place;
  make_database(place.database("shop"), 100, "delete");
  ClientPlan plan = backup_plan(1);
  plan.quirk = slow_at(VDSET_COMMAND_FLUSH);
  Media media;
  const Outcome outcome = run_client_with_signal("TERM", plan, media);
  CHECK(outcome.exit_code != 0);
  CHECK_MESSAGE(outcome.has_messages({3204, 3013}), outcome.output);
  CHECK(outcome.devices[0].end == VDSET_E_ABORT);
  CHECK(std::string(outcome.reason.text).find("signal") != std::string::npos);
}

TEST_CASE("the time is up: -t") {
  const Place place;
  make_database(place.database("shop"), 100, "delete");
  ClientPlan plan = backup_plan(1);
  plan.arguments = "-t 1";
  plan.quirk = slow_at(VDSET_COMMAND_FLUSH);
  Media media;
  check_failed(run_client(plan, media), {3204, 3013});
}

TEST_CASE("a client that hangs for longer than it allows: serverTimeOut") {
  const Place place;
  make_database(place.database("shop"), 100, "delete");
  ClientPlan plan = backup_plan(1);
  plan.server_timeout_ms = 200;
  plan.quirk = slow_at(VDSET_COMMAND_FLUSH);
  Media media;
  const Outcome outcome = run_client(plan, media);
  check_failed(outcome, {3271, 3013});
  CHECK(outcome.has("let no command complete in time"));
  CHECK(outcome.devices[0].end == VDSET_E_ABORT);
}

TEST_CASE("sqlcmd killed in a restore: what it left goes with the next one") {
  const Place place;
  make_database(place.database("shop"), 2000, "delete");
  Media media = backed_up(1);
  ClientPlan plan = restore_plan(1);
  const auto is_slow = slow_at(VDSET_COMMAND_READ);
  int reads = 0;
  plan.quirk = [&](std::uint32_t device, const vdset_command& command, Media& stored) {
    reads += 1;  // The second is data: the file is there.
    return reads == 2 ? is_slow(device, command, stored) : std::nullopt;
  };
  const Outcome killed = run_client_with_signal("KILL", plan, media);
  CHECK(killed.exit_code != 0);
  CHECK(killed.devices[0].end == VDSET_E_ABORT);
  CHECK(killed.reason.call == VDSET_CALL_DIED);
  CHECK(!std::filesystem::exists(place.database("copy")));
  CHECK(files_in(place.directory() + "/databases") == 2);
  const Outcome again = run_client(restore_plan(1), media);
  CHECK_MESSAGE(again.exit_code == 0, again.output);
  CHECK(files_in(place.directory() + "/databases") == 2);
  CHECK(content_of(place.database("copy")) == content_of(place.database("shop")));
}

TEST_CASE("lists and VERIFYONLY; nothing is drained") {
  const Place place;
  make_database(place.database("shop"), 8000, "delete");
  Media media = backed_up(2, "WITH NAME = 'it''s', DESCRIPTION = N'two words', COPY_ONLY");
  const auto ask = [&](const std::string& what) {
    ClientPlan plan = plan_for("{set-l}", 2, what + " FROM", "");
    plan.arguments = "-W -s '|'";
    return run_client(plan, media);
  };
  Outcome outcome = ask("RESTORE FILELISTONLY");
  CHECK_MESSAGE(outcome.exit_code == 0, outcome.output);
  CHECK(outcome.has("LogicalName|PhysicalName|Type|FileGroupName|Size"));
  CHECK(outcome.has("shop|" + place.database("shop") + "|D|PRIMARY|"));
  CHECK(outcome.has(std::to_string(std::filesystem::file_size(place.database("shop")))));
  CHECK(outcome.devices[0].read_bytes < media[0].size());
  CHECK(outcome.devices[0].end == VDSET_E_CLOSE);
  outcome = ask("RESTORE HEADERONLY");
  CHECK_MESSAGE(outcome.exit_code == 0, outcome.output);
  CHECK(outcome.has("it's|two words|1|"));
  outcome = ask("SET NOCOUNT ON RESTORE LABELONLY");
  CHECK_MESSAGE(outcome.exit_code == 0, outcome.output);
  CHECK(outcome.has("|2|1|"));
  CHECK_FALSE(outcome.has("rows affected"));
  outcome = ask("RESTORE VERIFYONLY");
  CHECK_MESSAGE(outcome.exit_code == 0, outcome.output);
  CHECK(outcome.has("valid"));
  CHECK(outcome.devices[0].read_bytes == media[0].size());
  CHECK(files_in(place.directory() + "/databases") == 1);
  media[1][media[1].size() / 2] ^= 16;
  check_failed(ask("RESTORE VERIFYONLY"), {3241, 3013});
}

TEST_CASE("NORECOVERY, a log, RECOVERY; MOVE; REPLACE") {
  const Place place;
  make_database(place.database("shop"), 500, "delete");
  Media full = backed_up(1);
  std::string output;
  run_shell("sqlite3 " + place.database("shop") + " 'delete from t where a > 100'", output);
  Media log;
  ClientPlan plan = plan_for("s", 1, "BACKUP LOG shop TO", "");
  CHECK(run_client(plan, log).exit_code == 0);

  const auto restore = [&](const std::string& what, const std::string& with, Media& media) {
    return run_client(plan_for("s", 1, "RESTORE " + what + " copy FROM", with), media);
  };
  check_failed(restore("LOG", "", log), {3117, 3013});
  CHECK(restore("DATABASE", "WITH NORECOVERY", full).exit_code == 0);
  CHECK(run_sqlcmd("-b -Q \"BACKUP DATABASE copy TO VIRTUAL_DEVICE='x'\"", output) == 1);
  check_failed(restore("DATABASE", "WITH NORECOVERY", log), {50002, 3013});
  CHECK(restore("LOG", "WITH NORECOVERY", log).exit_code == 0);
  CHECK(run_sqlcmd("-b -Q \"RESTORE DATABASE copy WITH RECOVERY\"", output) == 0);
  CHECK(content_of(place.database("copy")) == content_of(place.database("shop")));

  const std::string elsewhere = place.directory() + "/else.mdf";
  const std::string move =
      "WITH REPLACE, MOVE 'shop' TO '" + elsewhere + "', MOVE 'shop_log' TO '/nowhere/x.ldf'";
  const Outcome moved = restore("DATABASE", move, full);
  CHECK_MESSAGE(moved.exit_code == 0, moved.output);
  CHECK(std::filesystem::is_symlink(place.database("copy")));
  CHECK(content_of(elsewhere) == content_of(place.database("copy")));
  check_failed(restore("DATABASE", "WITH REPLACE, MOVE 'nix' TO '/tmp/x'", full), {3234, 3013});
}

TEST_CASE("MOVE to the database's own file, however it is spelled, replaces it in place") {
  const Place place;
  make_database(place.database("shop"), 500, "delete");
  Media full = backed_up(1);
  const std::string wanted = content_of(place.database("shop"));
  const std::string databases = place.directory() + "/databases";
  std::filesystem::create_directory_symlink(databases, place.directory() + "/link");
  for (const char* directory :
       {"/link", "/databases/../databases", "/databases/.", "//databases"}) {
    CAPTURE(directory);
    std::string target = place.directory() + directory + "/shop.db";
    const Outcome outcome = run_client(plan_for("s", 1, "RESTORE DATABASE shop FROM",
                                                "WITH REPLACE, MOVE 'shop' TO '" + target + "'"),
                                       full);
    CHECK_MESSAGE(outcome.exit_code == 0, outcome.output);
    CHECK_FALSE(std::filesystem::is_symlink(place.database("shop")));
    CHECK(content_of(place.database("shop")) == wanted);
  }
  CHECK(files_in(databases) == 1);
}

TEST_CASE("MOVE never takes another database's file, and others only WITH REPLACE") {
  const Place place;
  make_database(place.database("shop"), 500, "delete");
  make_database(place.database("other"), 20, "delete");
  const std::string elsewhere = place.directory() + "/else.mdf";
  make_database(elsewhere, 30, "delete");
  Media full = backed_up(1);
  const std::string other = content_of(place.database("other"));
  const std::string old = content_of(elsewhere);
  const auto restore = [&](const std::string& with, const std::string& target) {
    return run_client(
        plan_for("s", 1, "RESTORE DATABASE copy FROM", with + "MOVE 'shop' TO '" + target + "'"),
        full);
  };
  check_failed(restore("WITH ", place.database("other")), {1834, 3013});
  check_failed(restore("WITH REPLACE, ", place.database("other")), {1834, 3013});
  check_failed(restore("WITH REPLACE, ", place.directory() + "/databases/../databases/other.db"),
               {1834, 3013});
  check_failed(restore("WITH ", elsewhere), {3159, 3013});
  CHECK(content_of(place.database("other")) == other);
  CHECK(content_of(elsewhere) == old);
  CHECK(files_in(place.directory() + "/databases") == 2);
  CHECK(restore("WITH REPLACE, ", elsewhere).exit_code == 0);
  CHECK(content_of(elsewhere) == content_of(place.database("shop")));
}

TEST_CASE("a RESTORE WITH NORECOVERY that fails at its end leaves the database as it was") {
  const Place place;
  make_database(place.database("shop"), 2000, "delete");
  make_database(place.database("copy"), 20, "delete");
  const std::string old = content_of(place.database("copy"));
  Media full = backed_up(1);
  ClientPlan plan = restore_plan(1, "WITH REPLACE, NORECOVERY");
  const std::string log = place.database("copy") + "-wal";
  int reads = 0;
  plan.quirk = [&](std::uint32_t, const vdset_command& command, Media&) -> std::optional<Answer> {
    if (command.code == VDSET_COMMAND_READ) reads += 1;
    if (reads == 2) std::ofstream(log) << "changes";  // The file was looked at: somebody uses it.
    return {};
  };
  check_failed(run_client(plan, full), {3101, 3013});
  std::filesystem::remove(log);
  CHECK(files_in(place.directory() + "/databases") == 2);
  CHECK(content_of(place.database("copy")) == old);
}

TEST_CASE("SNAPSHOT, both ways") {
  const Place place;
  make_database(place.database("shop"), 500, "wal");
  const std::string stored = place.directory() + "/stored";
  ClientPlan plan = plan_for("s", 1, "BACKUP DATABASE shop TO", "WITH SNAPSHOT");
  std::vector<std::uint32_t> expected = {VDSET_COMMAND_WRITE, VDSET_COMMAND_WRITE,
                                         VDSET_COMMAND_FLUSH, VDSET_COMMAND_SNAPSHOT};
  std::int32_t code = 0;
  SUBCASE("without SnapshotPrepare") {}
  SUBCASE("with SnapshotPrepare") {
    plan.features = VDSET_FEATURE_SNAPSHOT_PREPARE | VDSET_FEATURE_REQUEST_COMPLETE;
    expected.insert(expected.begin() + 1, VDSET_COMMAND_PREPARE_TO_FREEZE);
  }
  SUBCASE("the client gives up") {
    code = VDSET_ERROR_OPERATION_ABORTED;
  }
  bool was_frozen = false;
  plan.quirk = [&](std::uint32_t, const vdset_command& command, Media&) -> std::optional<Answer> {
    if (command.code == VDSET_COMMAND_PREPARE_TO_FREEZE) return Answer{};
    if (command.code != VDSET_COMMAND_SNAPSHOT) return {};
    std::string output;
    was_frozen = run_shell("sqlite3 " + place.database("shop") + " 'delete from t'", output) != 0;
    std::filesystem::copy_file(place.database("shop"), stored);
    return Answer{code, 0, 0};
  };
  Media media;
  const Outcome backup = run_client(plan, media);
  CHECK(was_frozen);
  CHECK(backup.devices[0].commands == expected);
  CHECK(backup.devices[0].end == VDSET_E_CLOSE);
  if (code != 0) {
    check_failed(backup, {3271, 3013});
    return;
  }
  CHECK_MESSAGE(backup.exit_code == 0, backup.output);
  const std::string wanted = content_of(place.database("shop"));
  ClientPlan restore = plan_for("s", 1, "RESTORE DATABASE copy FROM", "");
  check_failed(run_client(restore, media), {50005, 3013});
  ClientPlan list = plan_for("s", 1, "RESTORE FILELISTONLY FROM", "");
  list.arguments = "-W";
  CHECK(run_client(list, media)
            .has("shop.db D PRIMARY " + std::to_string(std::filesystem::file_size(stored)) + " "));
  restore.statement += " WITH SNAPSHOT";
  restore.quirk = [&](std::uint32_t, const vdset_command& command,
                      Media&) -> std::optional<Answer> {
    if (command.code != VDSET_COMMAND_MOUNT_SNAPSHOT) return {};
    std::filesystem::copy_file(stored, place.database("copy"));
    return Answer{};
  };
  const Outcome mounted = run_client(restore, media);
  CHECK_MESSAGE(mounted.exit_code == 0, mounted.output);
  CHECK(mounted.devices[0].commands.back() == VDSET_COMMAND_MOUNT_SNAPSHOT);
  CHECK(content_of(place.database("copy")) == wanted);
  Media full = backed_up(1);
  check_failed(run_client(plan_for("s", 1, "RESTORE DATABASE c2 FROM", "WITH SNAPSHOT"), full),
               {3276, 3013});
}

TEST_CASE("the front end: input, batches, exit codes") {
  const Place place;
  make_database(place.database("shop"), 10, "delete");
  std::string output;
  std::ofstream(place.directory() + "/a.sql")
      << "print 'one' /* GO\nGO */\nGO\nselect nix()\nGO 2\nprint '$(what)'\n";
  const std::string file = " -i " + place.directory() + "/a.sql";
  CHECK(run_sqlcmd("-v what=three" + file, output) == 0);
  CHECK(output.find("one\nMsg 102") == 0);
  CHECK(output.find("three") != std::string::npos);
  CHECK(run_sqlcmd("-b -v what=three" + file, output) == 1);
  CHECK(output.find("three") == std::string::npos);
  CHECK(run_sqlcmd("-b -h-1 -W -Q \"select db_name()\" -d shop", output) == 0);
  CHECK(output.find("shop\n") == 0);
  CHECK(run_sqlcmd("-d nix -Q \"select 1\"", output) == 1);
  CHECK(run_sqlcmd("-Q 'select 1' --nix", output) == 1);
  CHECK(output.find("--nix") != std::string::npos);
  CHECK(run_sqlcmd("-i /nowhere", output) == 1);
  for (const char* redirect : {"-b -i ", "-b < "}) {
    CHECK(run_sqlcmd(redirect + place.directory(), output) == 1);
    CHECK(output.find("cannot be read") != std::string::npos);
  }
  CHECK(run_sqlcmd("-b -o /dev/full -Q \"print 'lost'\"", output) == 1);
  CHECK(output.find("'/dev/full': cannot be written") != std::string::npos);
  std::ofstream(place.directory() + "/outside.db").flush();
  CHECK(run_sqlcmd("-h-1 -W -Q \"select db_id('../outside')\"", output) == 0);
  CHECK(output.find("NULL\n") == 0);
  CHECK(run_sqlcmd("-h-1 -W -Q \"select db_id('shop')\"", output) == 0);
  CHECK(output.find("1\n") == 0);
  CHECK(run_sqlcmd("-Q \"print 'one\ntwo'\"", output) == 0);
  CHECK(output == "one\ntwo\n");
  CHECK(run_sqlcmd("-Q 'select nix()'", output) == 0);  // As sqlcmd: only -b and -V count errors.
  CHECK(run_sqlcmd("-V 16 -Q 'select nix()'", output) == 0);
  CHECK(run_sqlcmd("-V 15 -Q 'select nix()'", output) == 1);
  CHECK(run_sqlcmd("-b -Q 'alter database nix set offline'", output) == 1);
  CHECK(output.find("Msg 911,") == 0);
  CHECK(run_sqlcmd("-b -o " + place.directory() + "/said -Q 'select nix()'", output) == 1);
  CHECK(output.empty());
  CHECK(std::filesystem::file_size(place.directory() + "/said") > 0);
  const std::string osql = place.directory() + "/osql";
  std::filesystem::create_symlink(std::filesystem::absolute(std::getenv("SQLCMD")), osql);
  CHECK(run_shell(osql + " -E -S . -n -b -h-1 -w 200 -Q \"print 'by osql'\"", output) == 0);
  CHECK(output == "by osql\n");
  CHECK(run_shell(osql + " '-?'", output) == 0);
  CHECK(output.find("usage: osql ") == 0);
  CHECK(run_sqlcmd("-b < " + place.directory() + "/a.sql", output) == 1);
  CHECK(run_sqlcmd("-Q \"select * from sys.databases where name = 'shop'\"", output) == 0);
  CHECK(output.find("(1 rows affected)") != std::string::npos);
}

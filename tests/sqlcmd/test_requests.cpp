// tests/sqlcmd/test_requests.cpp: ranges of options, the command line, batches, descriptions.
#include <doctest/doctest.h>

#include <cstdlib>
#include <random>
#include <sstream>

#include "description.hpp"
#include "options.hpp"
#include "request.hpp"
#include "script.hpp"

using namespace sqlcmd;

namespace {

/// The number of what is wrong with a statement, 0 when nothing is.
int number_for(const std::string& batch, Request* out = nullptr) {
  const ParsedBatch parsed = parse_batch(batch, false);
  REQUIRE_MESSAGE(!parsed.error, parsed.error->text);
  REQUIRE(parsed.statements.size() == 1);
  Request request;
  const Variables variables = {{"@V", "dev"}, {"@N", std::nullopt}, {"@SIZE", "131072"}};
  const std::optional<Message> wrong = resolve(parsed.statements[0], variables, request);
  if (out != nullptr) *out = request;
  return wrong ? wrong->number : 0;
}

std::string backup_with(const std::string& options) {
  return "BACKUP DATABASE d TO VIRTUAL_DEVICE='x' WITH " + options;
}

std::string restore_with(const std::string& options) {
  return "RESTORE DATABASE d FROM VIRTUAL_DEVICE='x' WITH " + options;
}

Options options_of(const std::vector<std::string>& arguments, const std::string& wrong = "") {
  Options options;
  const std::string said = parse_options(arguments, options);
  if (wrong.empty()) {
    CHECK(said == "");
  } else {
    CHECK_MESSAGE(said.find(wrong) != std::string::npos, said);
  }
  return options;
}

}  // namespace

TEST_CASE("ranges and contradictions") {
  struct Row {
    std::string batch;
    int expected;
  };
  const Row rows[] = {
      {backup_with("BLOCKSIZE = 512"), 0},
      {backup_with("BLOCKSIZE = 65536, MAXTRANSFERSIZE = 4194304, BUFFERCOUNT = 4096"), 0},
      {backup_with("BLOCKSIZE = 511"), 3250},
      {backup_with("BLOCKSIZE = 131072"), 3250},
      {backup_with("BLOCKSIZE = 1000"), 3253},
      {backup_with("BLOCKSIZE = 99999999999999999999"), 3250},
      {backup_with("BLOCKSIZE = 512.5"), 3217},
      {backup_with("BLOCKSIZE = -512"), 3250},
      {backup_with("BLOCKSIZE = @n"), 3217},
      {backup_with("BLOCKSIZE = @unknown"), 137},
      {backup_with("MAXTRANSFERSIZE = @size"), 0},
      {backup_with("MAXTRANSFERSIZE = 0"), 3250},
      {backup_with("MAXTRANSFERSIZE = 65537"), 3217},
      {backup_with("MAXTRANSFERSIZE = 4259840"), 3250},
      {backup_with("BUFFERCOUNT = 0"), 3250},
      {backup_with("BUFFERCOUNT = 4097"), 3250},
      {backup_with("STATS"), 0},
      {backup_with("STATS = 0"), 3250},
      {backup_with("STATS = 101"), 3250},
      {backup_with("NAME = '" + std::string(128, 'x') + "'"), 0},
      {backup_with("NAME = '" + std::string(129, 'x') + "'"), 3217},
      {backup_with("ENCRYPTION"), 50002},
      {backup_with("ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = c)"), 50002},
      {backup_with("COMPRESSION (ALGORITHM = ZSTD, LEVEL = HIGH), INIT"), 0},
      {backup_with("NAME = @v, DESCRIPTION = '', MEDIANAME = N'm', MEDIADESCRIPTION = 'x'"), 0},
      {backup_with("MEDIANAME = '" + std::string(129, 'x') + "'"), 3217},
      {backup_with("DESCRIPTION = '" + std::string(256, 'x') + "'"), 3217},
      {backup_with("FORMAT, NOINIT, SKIP, NO_COMPRESSION, NO_CHECKSUM, STOP_ON_ERROR, REWIND"), 0},
      {backup_with("EXPIREDATE = '20300101', RETAINDAYS = 3, NOUNLOAD, CONTINUE_AFTER_ERROR"), 0},
      {backup_with("NORECOVERY"), 50002},
      {backup_with("SNAPSHOT"), 0},
      {backup_with("SNAPSHOT, DIFFERENTIAL"), 50002},
      {"BACKUP LOG d TO VIRTUAL_DEVICE='x' WITH METADATA_ONLY", 50002},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE='x', VIRTUAL_DEVICE='y' WITH SNAPSHOT", 3277},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE='x', VIRTUAL_DEVICE='x'", 50003},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE=''", 50003},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE='a\\b'", 50003},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE=@v", 0},
      {"RESTORE LOG d WITH NORECOVERY", 3207},
      {restore_with("FILE = 1"), 0},
      {restore_with("FILE = 2"), 50002},
      {restore_with("STOPAT = 'now'"), 50002},
      {restore_with("RECOVERY, NORECOVERY"), 3217},
      {restore_with("STANDBY = 'x'"), 0},
      {restore_with("STOPBEFOREMARK = 'lsn:1' AFTER 'x'"), 50002},
      {restore_with("PARTIAL, KEEP_REPLICATION, RESTRICTED_USER, UNLOAD, CHECKSUM, STATS = 1"), 0},
      {restore_with("MAXTRANSFERSIZE = 65535"), 3250},
      {restore_with("BLOCKSIZE = 768"), 3253},
      {restore_with("PASSWORD = 'x'"), 50002},
      {restore_with("MOVE 'a' TO 'b'"), 3217},
      {restore_with("MOVE 'a' TO '/b'"), 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.batch);
    CHECK(number_for(row.batch) == row.expected);
  }
  std::string many = "BACKUP DATABASE d TO VIRTUAL_DEVICE='x'";
  for (int i = 1; i < 64; ++i)
    many += ", VIRTUAL_DEVICE='x" + std::to_string(i) + "'";
  CHECK(number_for(many) == 0);
  CHECK(number_for(many + ", VIRTUAL_DEVICE='y'") == 3205);
}

TEST_CASE("defaults, and what is kept") {
  Request request;
  CHECK(number_for("BACKUP DATABASE d TO VIRTUAL_DEVICE='x', VIRTUAL_DEVICE=@v", &request) == 0);
  CHECK(request.devices == std::vector<std::string>{"x", "dev"});
  CHECK(request.block_bytes == 512);
  CHECK(request.max_transfer_bytes == 65536);
  CHECK(request.buffers_wanted() == 2 * 4 + 2 + 2);
  CHECK(request.stats_percent == 0);
  CHECK(number_for(backup_with("BUFFERCOUNT = 1, STATS, COPY_ONLY, NAME = N'n'"), &request) == 0);
  CHECK(request.buffers_wanted() == 3);
  CHECK(request.stats_percent == 10);
  CHECK(request.is_copy_only);
  CHECK(request.name == "n");
}

TEST_CASE("the command line: attached, separate, bundled, named when unknown") {
  Options o = options_of({"-S",         "tcp:host,1433",
                          "-Usa",       "-P",
                          "-secret",    "-C",
                          "-E",         "-b",
                          "-d",         "shop",
                          "-Qselect 1", "-h-1",
                          "-W",         "-s",
                          "|",          "-w200",
                          "-l",         "30",
                          "-t",         "5",
                          "-r1",        "-m",
                          "-1",         "-V",
                          "16",         "-y",
                          "0",          "-Y0",
                          "-k1",        "-I",
                          "-No"});
  CHECK(o.server == "tcp:host,1433");
  CHECK(o.stops_on_error);
  CHECK(o.database == "shop");
  CHECK(o.query == "select 1");
  CHECK(o.exits_after_query);
  CHECK(o.rows_per_header == -1);
  CHECK(o.separator == "|");
  CHECK(o.width == 200);
  CHECK(o.login_timeout_s == 30);
  CHECK(o.query_timeout_s == 5);
  CHECK(o.errors_to_stderr == 1);
  CHECK(o.severity_to_print == -1);
  CHECK(o.severity_for_exit == 16);
  CHECK(o.has_quoted_identifiers);
  o = options_of({"-EbC", "-r", "-x", "-q", "print 1", "-v", "a=1", "b=\"two words\"", "-o", "f"});
  CHECK(o.errors_to_stderr == 0);
  CHECK_FALSE(o.exits_after_query);
  CHECK_FALSE(o.substitutes_variables);
  CHECK(o.variables.at("B") == "two words");
  CHECK(o.output_path == "f");
  o = options_of({"-ia.sql,b.sql", "c.sql", "--databases", "/d"});
  CHECK(o.input_paths == std::vector<std::string>{"a.sql", "b.sql", "c.sql"});
  CHECK(o.databases_directory == "/d");
}

TEST_CASE("the command line: what clients of today and of long ago pass") {
  Options o = options_of({"-S", "localhost", "-U", "sa", "-P", "x", "-Q", "print 1", "-b"});
  CHECK(o.server == "localhost");
  CHECK(o.stops_on_error);
  o = options_of({"-Slocalhost\\INSTANCE,1433", "-Usa", "-Px", "-bCEI", "-N", "optional", "-y", "0",
                  "-Q", "print 1", "-r", "1", "-p", "1", "-K", "ReadOnly", "-J", "c.pem", "-X1"});
  CHECK(o.server == "localhost\\INSTANCE,1433");
  CHECK(o.has_quoted_identifiers);
  CHECK(o.wide_column_max == 0);
  CHECK(o.errors_to_stderr == 1);
  o = options_of({"-C", "-N", "-No", "-Ns", "-bQ", "print 2"});
  CHECK(o.query == "print 2");
  CHECK(o.stops_on_error);
  o = options_of({"-P", "-b", "-U", "-Q", "print 4"});  // -P"" -b -U"" -Q...
  CHECK(o.stops_on_error);
  CHECK(o.query == "print 4");
  o = options_of({"-Q", "print 1", "-U", "sa", "-P"});
  CHECK(o.query == "print 1");
  o = options_of({"--server=s", "--query", "print 3", "--exit-on-error", "--headers=-1",
                  "--trust-server-certificate", "--encrypt-connection", "true", "--variables",
                  "a=1", "b=2", "--database-name", "shop"});
  CHECK(o.server == "s");
  CHECK(o.query == "print 3");
  CHECK(o.stops_on_error);
  CHECK(o.rows_per_header == -1);
  CHECK(o.variables.at("B") == "2");
  CHECK(o.database == "shop");
  options_of({"--query"}, "'--query': its value is missing");
  options_of({"--headers=x"}, "'--headers'");
  options_of({"--databases"}, "'--databases'");
  options_of({"-B"}, "'-B'");
  options_of({"--frob"}, "'--frob'");
  options_of({"-b", "word"}, "'word'");
  options_of({"-Q"}, "'-Q': its value is missing");
  options_of({"-Q", "a", "-Q", "b"}, "only one query");
  options_of({"-Q", "a", "-i", "b"}, "'-Q' and '-i'");
  options_of({"-h", "x"}, "'-h'");
  options_of({"-s", "ab"}, "'-s'");
  options_of({"-w", "3"}, "'-w'");
  options_of({"-V", "26"}, "'-V'");
  options_of({"-v", "x"}, "'-v'");
}

TEST_CASE(
    "the environment: defaults that the command line replaces, a password that nobody reads") {
  ::setenv("SQLCMDPASSWORD", "secret", 1);
  ::setenv("SQLCMDSERVER", "from-there", 1);
  ::setenv("SQLCMDHEADERS", "-1", 1);
  Options o = options_of({"-Q", "print 1"});
  CHECK(o.server == "from-there");
  CHECK(o.rows_per_header == -1);
  o = options_of({"-S", "here", "-h", "5"});
  CHECK(o.server == "here");
  CHECK(o.rows_per_header == 5);
  ::setenv("SQLCMDHEADERS", "many", 1);
  options_of({"-Q", "print 1"}, "SQLCMDHEADERS");
  ::unsetenv("SQLCMDHEADERS");
  ::unsetenv("SQLCMDSERVER");
  ::unsetenv("SQLCMDPASSWORD");
}

TEST_CASE("batches: GO, counts, comments, quotes, variables, colon commands") {
  Options options;
  options.variables["X"] = "1";
  std::vector<std::string> batches;
  std::vector<std::string> said;
  ScriptRunner runner(
      options,
      [&](const std::string& batch) {
        batches.push_back(batch);
        return batch != "stop\n";
      },
      [&](const std::string& text) { said.push_back(text); });
  const auto run = [&](const std::string& text) {
    batches.clear();
    said.clear();
    return runner.run_text(text);
  };
  CHECK(run("a\nGO\n\n  go  -- done\nb\r\nGo 2\nc") == ScriptEnd::at_end);
  CHECK(batches == std::vector<std::string>{"a\n", "b\n", "b\n", "c\n"});
  CHECK(run("/* x\nGO\n/* */ */ 'y\nGO\n' [z\nGO\n]\nGO\ngoal") == ScriptEnd::at_end);
  CHECK(batches.size() == 2);
  CHECK(run(":setvar y \"a b\"\n$(x)$(Y)\n") == ScriptEnd::at_end);
  CHECK(batches == std::vector<std::string>{"1a b\n"});
  ::setenv("SQLCMD_TEST_INHERITED", "from outside", 1);
  CHECK(run("$(SQLCMD_TEST_INHERITED)\n") == ScriptEnd::at_end);
  CHECK(batches == std::vector<std::string>{"from outside\n"});
  CHECK(run("\xEF\xBB\xBFgo\na\n") == ScriptEnd::at_end);
  CHECK(batches == std::vector<std::string>{"a\n"});
  CHECK(run("$(nix)") == ScriptEnd::unreadable);
  CHECK(said.size() == 1);
  CHECK(run("a\n:exit\nb") == ScriptEnd::by_exit);
  CHECK(run(":frob\n") == ScriptEnd::unreadable);
  CHECK(run("stop\nGO\nb") == ScriptEnd::by_error);
  CHECK(batches.size() == 1);
  options.substitutes_variables = false;
  CHECK(run("$(nix)") == ScriptEnd::at_end);
}

TEST_CASE("descriptions come back as they were; damaged ones do not come back") {
  Description d;
  d.database = "a%b\nc=d";
  d.logical_file = "x";
  d.physical_file = std::string(2000, 'p');
  d.type = BackupType::log;
  d.begun_at = 1700000000;
  d.max_transfer_bytes = 4194304;
  d.is_copy_only = true;
  std::vector<std::uint8_t> bytes = encode_description(d);
  Description back;
  REQUIRE(decode_description(bytes, back));
  CHECK(back.database == d.database);
  CHECK(back.physical_file.size() == described_text_bytes_max);
  CHECK(back.type == BackupType::log);
  CHECK(back.begun_at == d.begun_at);
  CHECK(back.max_transfer_bytes == d.max_transfer_bytes);
  CHECK(back.is_copy_only);
  CHECK_FALSE(back.is_snapshot);
  bytes[0] = 'x';
  CHECK_FALSE(decode_description(bytes, back));
  CHECK_FALSE(decode_description({}, back));
  std::mt19937 random(7);
  bytes = encode_description(d);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::uint8_t> damaged = bytes;
    for (int i = 0; i < 5; ++i)
      damaged[random() % 3000] = static_cast<std::uint8_t>(random());
    decode_description(damaged, back);
  }
}

// tests/sqlcmd/test_language.cpp: statements and what they mean; text that means nothing, and where
// it stops to. No input may throw, hang or be misread.
#include <doctest/doctest.h>

#include <random>

#include "tsql.hpp"

using namespace sqlcmd;

namespace {

/// A statement in short: "BACKUP DATABASE shop <x,y> BLOCKSIZE=512 MOVE=a>b".
std::string shape(const Statement& s) {
  std::string text = verb_name(s.verb);
  if (!s.database.text.empty()) text += " " + s.database.text;
  for (const Value& file : s.files)
    text += " file:" + file.text;
  std::string names;
  for (const Value& device : s.devices)
    names += (names.empty() ? "" : ",") + device.text;
  if (!s.devices.empty()) text += " <" + names + ">";
  for (const Option& option : s.options) {
    text += std::string(" ") + option.spec->name;
    if (option.value) text += "=" + option.value->text;
    if (option.second) text += ">" + option.second->text;
  }
  if (!s.variable.empty()) text += " " + s.variable;
  for (const Value& value : s.expression)
    text += " " + value.text;
  return text;
}

std::string shape(const std::string& batch) {
  const ParsedBatch parsed = parse_batch(batch, false);
  if (parsed.error) return std::to_string(parsed.error->number) + ": " + parsed.error->text;
  std::string text;
  for (const Statement& statement : parsed.statements) {
    text += (text.empty() ? "" : "; ") + shape(statement);
  }
  return text;
}

struct Row {
  const char* batch;
  const char* expected;
};

}  // namespace

TEST_CASE("statements that are understood") {
  static const Row rows[] = {
      {"", ""},
      {" ;; ", ""},
      {"BACKUP DATABASE shop TO VIRTUAL_DEVICE='x'", "BACKUP DATABASE shop <x>"},
      {"backup database [my [[db]]] to virtual_device = N'it''s'",
       "BACKUP DATABASE my [[db] <it's>"},
      {"BACKUP LOG \"a \"\"b\"\"\" TO VIRTUAL_DEVICE=@v, VIRTUAL_DEVICE=\"z\"",
       "BACKUP LOG a \"b\" <@v,z>"},
      {"BACKUP DATABASE @d TO VIRTUAL_DEVICE='{A-1} _x' WITH FORMAT, MAXTRANSFERSIZE=1048576",
       "BACKUP DATABASE @d <{A-1} _x> FORMAT MAXTRANSFERSIZE=1048576"},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE='x' WITH STATS=10 BACKUP LOG d TO VIRTUAL_DEVICE='y'",
       "BACKUP DATABASE d <x> STATS=10; BACKUP LOG d <y>"},
      {"RESTORE DATABASE d FROM VIRTUAL_DEVICE='x' WITH NORECOVERY, CHECKSUM, REPLACE, "
       "BUFFERCOUNT=16, MAXTRANSFERSIZE=2097152",
       "RESTORE DATABASE d <x> NORECOVERY CHECKSUM REPLACE BUFFERCOUNT=16 MAXTRANSFERSIZE=2097152"},
      {"RESTORE DATABASE d FROM VIRTUAL_DEVICE='x' WITH MOVE 'a' TO 'b', STATS, FILE = 1,"
       "STOPATMARK = 'm' AFTER 'n'",
       "RESTORE DATABASE d <x> MOVE=a>b STATS FILE=1 STOPATMARK=m>n"},
      {"RESTORE DATABASE d WITH RECOVERY; RESTORE LOG d",
       "RESTORE DATABASE d RECOVERY; RESTORE LOG d"},
      {"BACKUP DATABASE d FILE='a', FILEGROUP='b' TO VIRTUAL_DEVICE='x'",
       "BACKUP DATABASE d file:a file:b <x>"},
      {"RESTORE FILELISTONLY FROM VIRTUAL_DEVICE='x' WITH FILE=1",
       "RESTORE FILELISTONLY <x> FILE=1"},
      {"RESTORE HEADERONLY FROM VIRTUAL_DEVICE='x'", "RESTORE HEADERONLY <x>"},
      {"RESTORE LABELONLY FROM VIRTUAL_DEVICE='x'", "RESTORE LABELONLY <x>"},
      {"RESTORE VERIFYONLY FROM VIRTUAL_DEVICE='x'", "RESTORE VERIFYONLY <x>"},
      {"DECLARE @a nvarchar(128) = N'x' + 'y', @b int SET @b = 3",
       "DECLARE @A x y; DECLARE @B; SET @B 3"},
      {"USE [shop] PRINT 'a' + @a -- to the end\nSELECT 1", "USE shop; PRINT a @a; SELECT"},
      {"/* one /* two */ still */ PRINT 'x' /**/", "PRINT x"},
      {"SET NOCOUNT ON SET ANSI_NULLS, QUOTED_IDENTIFIER ON SET LOCK_TIMEOUT 5000 "
       "SET TRANSACTION ISOLATION LEVEL READ COMMITTED SET DEADLOCK_PRIORITY LOW PRINT 'x'",
       "SET; SET; SET; SET; SET; PRINT x"},
      {"SELECT @@VERSION AS v, DB_NAME() [d], SERVERPROPERTY('x'), N'a', -1, NULL", "SELECT"},
      {"ALTER DATABASE [shop] SET SINGLE_USER WITH ROLLBACK IMMEDIATE RESTORE DATABASE shop FROM "
       "VIRTUAL_DEVICE='x' WITH REPLACE ALTER DATABASE shop SET MULTI_USER; PRINT 'x'",
       "ALTER DATABASE shop; RESTORE DATABASE shop <x> REPLACE; ALTER DATABASE shop; PRINT x"},
      {"SELECT name FROM master.sys.databases WHERE name = 'x' ORDER BY name", "SELECT"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.batch);
    CHECK(shape(row.batch) == row.expected);
  }
}

TEST_CASE("what is not understood is named, with its place, and nothing of the batch is run") {
  static const Row rows[] = {
      {"BACKUP", "102: The end of the batch stands where DATABASE is expected (line 1, column 7)."},
      {"BACKUP DATABASE",
       "102: The end of the batch stands where a database's name is expected "
       "(line 1, column 16)."},
      {"BACKUP DATABASE d VIRTUAL_DEVICE='x'",
       "102: 'VIRTUAL_DEVICE' stands where TO is expected (line 1, column 19)."},
      {"BACKUP DATABASE d TO DISK='x'",
       "102: 'DISK' is not served here, only VIRTUAL_DEVICE is (line 1, column 22)."},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE x",
       "102: 'x' stands where = is expected (line 1, column 37)."},
      {"PRINT 'a'\nBACKUP DATABASE d TO VIRTUAL_DEVICE='x' WITH\n  FORMAT, SHINY",
       "155: 'SHINY' is not an option of BACKUP DATABASE (line 3, column 11)."},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE='x' WITH REPLACE",
       "155: 'REPLACE' is not an option of BACKUP DATABASE (line 1, column 46)."},
      {"RESTORE VERIFYONLY FROM VIRTUAL_DEVICE='x' WITH REPLACE",
       "155: 'REPLACE' is not an option of RESTORE VERIFYONLY (line 1, column 49)."},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE='x' WITH BLOCKSIZE",
       "102: The end of the batch stands where = is expected (line 1, column 55)."},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE='x' WITH BLOCKSIZE='a'",
       "102: 'a' stands where a number or a variable is expected (line 1, column 56)."},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE='x",
       "102: Here begins a text that does not end (line 1, column 37)."},
      {"BACKUP DATABASE [d", "102: Here begins a name that does not end (line 1, column 17)."},
      {"PRINT 'a' /* /* */", "102: Here begins a comment that does not end (line 1, column 11)."},
      {"PRINT 'a' /**/\n\n  /*",
       "102: Here begins a comment that does not end (line 3, column 3)."},
      {"DROP DATABASE d",
       "102: 'DROP' stands where BACKUP, RESTORE, USE, DECLARE, SET, PRINT, SELECT or "
       "ALTER DATABASE is expected (line 1, column 1)."},
      {"ALTER DATABASE d ADD FILE x",
       "102: 'ADD' stands where SET is expected (line 1, column 18)."},
      {"BACKUP DATABASE d TO VIRTUAL_DEVICE='x' WITH COMPRESSION (LEVEL = 1",
       "102: The end of the batch stands where ) is expected (line 1, column 68)."},
      {"SELECT name",
       "102: The end of the batch stands where FROM and a table is expected "
       "(line 1, column 12)."},
      {"SELECT DB_NAME('a',",
       "102: The end of the batch stands where a value is expected "
       "(line 1, column 20)."},
  };
  for (const Row& row : rows) {
    CAPTURE(row.batch);
    CHECK(shape(row.batch) == row.expected);
    CHECK(parse_batch(row.batch, true).statements.empty());
  }
}

TEST_CASE("quoted identifiers on: \"x\" is no text any more") {
  const std::string batch = "BACKUP DATABASE \"d\" TO VIRTUAL_DEVICE=\"x\"";
  CHECK_FALSE(parse_batch(batch, false).error);
  CHECK(parse_batch(batch, true).error);
}

TEST_CASE("any bytes end somewhere") {
  static const char* const pieces[] = {
      "BACKUP ", "RESTORE ", "DATABASE ", "d ",    "TO ",      "FROM ", "VIRTUAL_DEVICE",
      "=",       "'x' ",     "@v ",       "WITH ", "STATS",    ", ",    "MOVE ",
      "SELECT ", "(",        ")",         "[",     "]",        "'",     "\"",
      "/*",      "*/",       "--",        "\n",    "DECLARE ", "int ",  "SET ",
      "NULL ",   "\x01",     "\xFF",      "N'",    "1 ",       "-",     "+",
      ".",       ";",        "FILE = ",   "name ", "AS "};
  std::mt19937 random(20240607);
  std::size_t understood = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string batch;
    for (auto i = random() % 30; i > 0; --i) {
      batch += pieces[random() % (sizeof pieces / sizeof pieces[0])];
    }
    if (round % 7 == 0) batch.push_back('\0');
    const ParsedBatch parsed = parse_batch(batch, round % 2 == 0);
    if (parsed.error) {
      CHECK(parsed.statements.empty());
    } else {
      understood += 1;
    }
  }
  CHECK(understood > 0);
  CHECK(parse_batch(std::string(batch_bytes_max + 1, ' '), false).error);
  CHECK_FALSE(parse_batch(std::string(batch_bytes_max, ';'), false).error);
  std::string deep;
  for (int i = 0; i < 100000; ++i)
    deep += "/*";
  CHECK(parse_batch(deep, false).error);
}

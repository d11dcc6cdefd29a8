// tests/process/test_attach.cpp: meeting, configuration, devices and their names.
#include <doctest/doctest.h>
#include <string>
#include <vector>
#include "tests/support/process.hpp"

using namespace process;

namespace {

/// Plays one order of the client's and the server's steps after Create. The client's are G
/// GetConfiguration and D OpenDevice; the server's O Open, B BeginConfiguration, E EndConfiguration
/// and N OpenDevice.
void play(Role& server, Role& primary, const std::string& steps) {
  CAPTURE(steps);
  bool ended = false, named = false, asking = false, opening = false, opened = false;
  primary.ok("create orders");
  for (const char step : steps) {
    switch (step) {
      case 'O': server.ok("server-open orders"); break;
      case 'B': server.ok("begin"); break;
      case 'E':
        if (asking) CHECK_FALSE(primary.answered("configuration"));
        server.ok("request 4096 0 2");
        server.ok("end");
        ended = true;
        break;
      case 'N':
        if (opening) CHECK_FALSE(primary.answered("open"));
        server.ok("name orders");
        named = true;
        break;
      case 'G':
        primary.start("configuration", "configuration -1");
        asking = true;
        break;
      default:
        primary.start("open", "open orders");
        opening = true;
        if (!ended) primary.wait_refused("open", "VDSET_E_PROTOCOL");
        opening = ended;
    }
    if (asking && ended) {
      primary.wait_ok("configuration");
      asking = false;
    }
    if (opening && named) {
      primary.wait_ok("open");
      opening = false;
      opened = true;
    }
  }
  if (!opened) primary.ok("open orders");
  server.start("agent", "run-agent");
  server.ok("send 12 0");
  primary.ok("complete " + primary.ok("get -1").at("id") + " 0 0");
  CHECK(server.ok("completion").number("code") == 0);
  server.ok("close-device");
  primary.refuse("get -1", "VDSET_E_CLOSE");
  server.wait_ok("agent");
  server.ok("server-close");
  primary.ok("close");
}

/// All ways to mix two rows of steps.
void mix(const std::string& left, const std::string& right, const std::string& done,
         std::vector<std::string>& out) {
  if (left.empty() || right.empty()) return out.push_back(done + left + right);
  mix(left.substr(1), right, done + left[0], out);
  mix(left, right.substr(1), done + right[0], out);
}

/// A backup of all devices: `server` produces, each of `consumers` serves its names.
struct Share {
  Role* role;
  std::string names;
};
void move_data(Role& server, const std::string& names, const std::vector<Share>& consumers,
               const std::string& how) {
  for (const Share& share : consumers)
    share.role->start("consume", "consume devices=" + share.names);
  const Answer sent = server.ok("produce devices=" + names + " " + how);
  std::uint64_t commands = 0, sum = 0;
  for (const Share& share : consumers) {
    const Answer got = share.role->wait_ok("consume");
    commands += got.number("commands");
    sum += got.number("sum");
    CHECK(got.number("bad") == 0);
  }
  CHECK(sent.number("bad") == 0);
  CHECK(commands == sent.number("commands"));
  CHECK(sum == sent.number("sum"));
}

}  // namespace

TEST_CASE("server and primary meet in every order of their calls" *
          doctest::test_suite("essential")) {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  server.refuse("server-open orders", "VDSET_E_INVALID");  // Open does not wait for Create.
  std::vector<std::string> orders;
  mix("GD", "OBEN", "", orders);
  mix("DG", "OBEN", "", orders);
  CHECK(orders.size() == 30);
  for (const std::string& order : orders)
    play(server, primary, order);
}

TEST_CASE("GetConfiguration that times out leaves the state, and all waiting threads succeed") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  primary.ok("create x devices=3 features=0x2000 prefix=512 alignment=1024");
  const auto times_out = [&] {
    primary.refuse("configuration 0", "VDSET_E_TIMEOUT");
    primary.refuse("configuration 1000000", "VDSET_E_TIMEOUT");
  };
  times_out();
  server.ok("server-open x");
  times_out();
  const Answer wish = server.ok("server-configuration");
  CHECK(wish.number("devices") == 3);
  CHECK(wish.number("prefix") == 512);
  server.ok("begin features=0x52000 block=512 transfer=131072");
  times_out();
  for (const char* lane : {"a", "b", "c", "d"}) {
    primary.start(lane, "configuration -1");
    primary.until_asleep(lane);
  }
  server.ok("request 65536 0 2");
  times_out();
  server.ok("end");
  for (const char* lane : {"a", "b", "c", "d"}) {
    const Answer got = primary.wait_ok(lane);
    CHECK(got.number("devices") == 3);
    CHECK(got.number("features") == 0x52000);
    CHECK(got.number("prefix") == 512);
    CHECK(got.number("alignment") == 1024);
    CHECK(got.number("block") == 512);
    CHECK(got.number("depth") == 4);
    CHECK(got.number("transfer") == 131072);
    CHECK(got.number("area") >= 2 * (65536 + 512));
  }
  primary.ok("configuration 0");
  server.ok("server-close");
  primary.ok("close");
}

TEST_CASE("EndConfiguration without memory keeps the set configurable for a smaller request") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  primary.ok("create x");
  server.ok("server-open x area_max=1048576");
  server.ok("begin");
  server.ok("request 65536 0 100");
  server.refuse("end", "VDSET_E_MEMORY");
  primary.refuse("configuration 0", "VDSET_E_TIMEOUT");
  server.ok("request 65536 0 4");
  server.ok("end");
  primary.ok("configuration -1");
  CHECK(server.ok("query 65536 0").number("count") == 4);
  server.ok("server-close");
  primary.ok("close");
}

TEST_CASE("sets of 1, 4 and 64 devices move their data") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  for (const unsigned n : {1u, 4u, 64u}) {
    CAPTURE(n);
    Plan plan;
    plan.devices = n;
    plan.requests = {"4096 0 " + std::to_string(2 * n)};
    configure(server, primary, "many", plan);
    activate(server, "many", n);
    const std::string names = device_names("many", 0, n);
    move_data(server, names, {{&primary, names}}, "count=20 size=4096");
    server.wait_ok("agent");
    server.ok("server-close");
    primary.ok("close");
  }
}

TEST_CASE("a backup goes through a primary and two secondaries, and a restore comes back" *
          doctest::test_suite("essential")) {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Role& one = stage.add("one");
  Role& two = stage.add("two");
  for (const char* code : {"2", "1"}) {
    Plan plan;
    plan.devices = 4;
    plan.requests = {"65536 0 8"};
    plan.begin =
        std::string("block=512 transfer=65536 features=") + (*code == '2' ? "0x10000" : "0x20000");
    configure(server, primary, "both", plan);
    one.ok("join both");
    two.ok("join both");
    activate(server, "both", 4);
    move_data(server, device_names("both", 0, 4),
              {{&primary, "both"}, {&one, "both.1,both.2"}, {&two, "both.3"}},
              std::string("count=40 size=65536 code=") + code);
    server.wait_ok("agent");
    for (Role* role : {&one, &two, &primary})
      role->ok("close");
    server.ok("server-close");
  }
}

TEST_CASE("secondaries serve one device each, or one of them several") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  std::vector<Role*> secondaries;
  for (const char* name : {"s0", "s1", "s2", "s3"})
    secondaries.push_back(&stage.add(name));
  Plan plan;
  plan.devices = 4;
  plan.requests = {"65536 0 8"};

  configure(server, primary, "each", plan);
  activate(server, "each", 4);
  std::vector<Share> shares;
  for (unsigned i = 0; i < 4; ++i) {
    secondaries[i]->ok("join each");
    CHECK(secondaries[i]->ok("configuration 0").number("devices") == 4);
    shares.push_back({secondaries[i], device_name("each", i)});
  }
  move_data(server, device_names("each", 0, 4), shares, "count=30 size=65536");
  for (Role* role : secondaries)
    role->ok("close");
  server.wait_ok("agent");
  server.ok("server-close");
  primary.ok("close");

  configure(server, primary, "each", plan);
  activate(server, "each", 4);
  secondaries[0]->ok("join each");
  move_data(server, device_names("each", 0, 4),
            {{secondaries[0], device_names("each", 1, 4)}, {&primary, "each"}},
            "count=30 size=65536");
  secondaries[0]->ok("close");
  server.wait_ok("agent");
  server.ok("server-close");
  primary.ok("close");
}

TEST_CASE("OpenDevice waits for a name that the server has not yet given" *
          doctest::test_suite("essential")) {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Role& secondary = stage.add("secondary");
  Plan plan;
  plan.devices = 3;
  configure(server, primary, "names", plan);
  secondary.ok("join names");
  primary.start("first", "open names");
  primary.until_asleep("first");
  secondary.start("later", "open later");
  secondary.until_asleep("later");
  server.refuse("name later", "VDSET_E_INVALID");  // The first has the set's name.
  server.ok("name names");
  primary.wait_ok("first");
  CHECK_FALSE(secondary.answered("later"));
  server.refuse("name names", "VDSET_E_INVALID");
  server.ok("name between");
  CHECK_FALSE(secondary.answered("later"));
  server.ok("name later");
  secondary.wait_ok("later");
  server.refuse("name fourth", "VDSET_E_OPEN");
  server.call("server-close");
  secondary.call("close");
  primary.call("close");
}

TEST_CASE("a device opened twice is PROTOCOL, one unknown INVALID, one too many OPEN") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Role& secondary = stage.add("secondary");
  Plan plan;
  plan.devices = 2;
  configure(server, primary, "x", plan);
  secondary.ok("join x");
  activate(server, "x", 2);
  primary.ok("open x");
  primary.refuse("open x", "VDSET_E_PROTOCOL");
  secondary.refuse("open x", "VDSET_E_PROTOCOL");
  primary.refuse("open nowhere", "VDSET_E_INVALID");
  secondary.refuse("open X", "VDSET_E_INVALID");  // Compared bytewise.
  primary.refuse("open a\\b", "VDSET_E_INVALID");
  secondary.ok("open x.1");
  primary.refuse("open x.1", "VDSET_E_OPEN");
  primary.refuse("open nowhere", "VDSET_E_OPEN");
  secondary.refuse("open x", "VDSET_E_OPEN");
  server.ok("server-abort 0");
  server.wait_refused("agent", "VDSET_E_ABORT");
  secondary.ok("close");
  bury(server, primary);
}

TEST_CASE("of many processes that open one device at the same time exactly one gets it") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  std::vector<Role*> rivals{&primary};
  for (int i = 0; i < 7; ++i)
    rivals.push_back(&stage.add("rival"));
  for (int round = 0; round < 5; ++round) {
    Plan plan;
    plan.devices = 2;
    configure(server, primary, "race", plan);
    for (Role* rival : rivals)
      if (rival != &primary) rival->ok("join race");
    for (Role* rival : rivals)
      rival->start("open", "open race");
    server.ok("name race");
    std::size_t winners = 0;
    for (Role* rival : rivals) {
      const Answer answer = rival->wait("open");
      winners += answer.ok();
      if (!answer.ok()) CHECK(answer.error == "VDSET_E_PROTOCOL");
    }
    CHECK(winners == 1);
    server.ok("server-abort 0");
    for (Role* rival : rivals)
      rival->ok("close");
    server.ok("server-close");
  }
}

TEST_CASE("one process plays server, primary and secondary") {
  Stage stage;
  Role& all = stage.add("all");
  Plan plan;
  plan.devices = 2;
  plan.create = "as=p";
  configure(all, all, "alone", plan);
  all.ok("join alone as=s");
  activate(all, "alone", 2);
  all.ok("open alone set=p as=p0");
  all.ok("open alone.1 set=s as=s1");
  std::vector<std::string> buffers;
  for (const char* const names : {"alone p0", "alone.1 s1"}) {
    const std::string pair(names);
    const std::string theirs = pair.substr(0, pair.find(' '));
    const std::string mine = pair.substr(pair.find(' ') + 1);
    const std::string buffer = all.ok("allocate 4096 0").at("buffer");
    all.ok("fill " + buffer + " 4096 7");
    all.ok("send 2 4096 buffer=" + buffer + " device=" + theirs);
    const Answer got = all.ok("get -1 device=" + mine);
    CHECK(all.ok("check " + got.at("buffer") + " 4096 7").number("equal") == 1);
    CHECK(got.at("buffer") != buffer);  // Each role has a mapping of its own.
    all.ok("complete " + got.at("id") + " 0 4096");
    CHECK(all.ok("completion").number("bytes") == 4096);
    all.ok("close-device device=" + theirs);
    all.refuse("get -1 device=" + mine, "VDSET_E_CLOSE");
  }
  all.wait_ok("agent");
  all.ok("close set=s");
  all.ok("server-close");
  all.ok("close set=p");
}

TEST_CASE("two server threads send on two devices and on one") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Role& secondary = stage.add("secondary");
  Plan plan;
  plan.devices = 2;
  plan.requests = {"4096 0 16"};
  configure(server, primary, "threads", plan);
  secondary.ok("join threads");
  activate(server, "threads", 2);
  primary.start("consume", "consume devices=threads");
  secondary.start("consume", "consume devices=threads.1");
  // The second lane's threads send to the first device at the same time as these do.
  server.start("beside", "produce devices=threads threads=2 count=400 first=100000 close=0");
  const Answer sent = server.ok("produce devices=threads.1 threads=2 count=400");
  const Answer beside = server.wait_ok("beside");
  const Answer last = server.ok("produce devices=threads threads=2 count=400 first=200000");
  const Answer got = primary.wait_ok("consume");
  const Answer other = secondary.wait_ok("consume");
  CHECK(got.number("commands") == beside.number("commands") + last.number("commands"));
  CHECK(got.number("sum") == beside.number("sum") + last.number("sum"));
  CHECK(other.number("sum") == sent.number("sum"));
  CHECK(got.number("bad") + other.number("bad") + sent.number("bad") == 0);
  server.wait_ok("agent");
  secondary.ok("close");
  server.ok("server-close");
  primary.ok("close");
}

TEST_CASE("one server process and one primary process hold several sets at once") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  const std::vector<std::string> sets{"red", "green", "blue"};
  Plan plan;
  plan.devices = 2;
  plan.requests = {"16384 0 4"};
  for (const std::string& set : sets) {
    plan.create = plan.open = "as=" + set;
    configure(server, primary, set, plan);
    for (unsigned i = 0; i < 2; ++i)
      server.ok("name " + device_name(set, i));
    server.start("agent-" + set, "run-agent server=" + set);
  }
  for (const std::string& set : sets) {
    primary.start(set, "consume set=" + set + " devices=" + device_names(set, 0, 2));
    server.start(
        set, "produce server=" + set + " count=100 size=16384 devices=" + device_names(set, 0, 2));
  }
  for (const std::string& set : sets) {
    CAPTURE(set);
    const Answer sent = server.wait_ok(set);
    const Answer got = primary.wait_ok(set);
    CHECK(got.number("sum") == sent.number("sum"));
    CHECK(got.number("bad") == 0);
    server.wait_ok("agent-" + set);
  }
  // One that aborts is no matter of the others'.
  for (const std::string& set : sets) {
    primary.ok("close set=" + set);
    server.ok("server-close server=" + set);
  }
}

TEST_CASE("an abort of one set leaves another in the same processes alone") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Plan plan;
  for (const std::string set : {"ends", "stays"}) {
    plan.create = plan.open = "as=" + set;
    configure(server, primary, set, plan);
    server.ok("name " + set);
    server.start("agent-" + set, "run-agent server=" + set);
    primary.ok("open " + set + " set=" + set);
  }
  primary.ok("abort 5 enough set=ends");
  server.wait_refused("agent-ends", "VDSET_E_ABORT");
  server.ok("send 12 0 device=stays");
  primary.ok("complete " + primary.ok("get -1 device=stays").at("id") + " 0 0");
  CHECK(server.ok("completion").number("code") == 0);
  server.ok("close-device device=stays");
  primary.refuse("get -1 device=stays", "VDSET_E_CLOSE");
  server.wait_ok("agent-stays");
  for (const std::string set : {"ends", "stays"}) {
    server.ok("server-close server=" + set);
    primary.ok("close set=" + set);
  }
}

TEST_CASE(
    "a name in use is refused, and free again after close, for the same process and another") {
  Stage stage;
  Role& one = stage.add("one");
  Role& two = stage.add("two");
  Role& server = stage.add("server");
  one.ok("create taken as=mine");
  one.refuse("create taken", "VDSET_E_PROTOCOL");
  two.refuse("create taken", "VDSET_E_PROTOCOL");
  server.ok("server-open taken");
  two.refuse("create taken", "VDSET_E_PROTOCOL");
  two.refuse("server-open taken", "VDSET_E_PROTOCOL");
  two.refuse("join taken", "VDSET_E_PROTOCOL");
  one.ok("close set=mine");
  two.ok("create taken");
  one.refuse("create taken", "VDSET_E_PROTOCOL");
  // The server of the old set is not the new one's.
  server.until("server-configuration", "VDSET_E_ABORT");
  server.ok("server-close");
  server.ok("server-open taken");
  server.ok("server-close");
  two.ok("close");
  one.ok("create taken");
  one.ok("close");
  CHECK(stage.nodes().empty());
}

TEST_CASE("close and create again, with the same objects' names, many times" *
          doctest::test_suite("essential")) {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    configure(server, primary, "again");
    activate(server, "again", 1);
    move_data(server, "again", {{&primary, "again"}}, "count=5 size=4096");
    server.wait_ok("agent");
    primary.ok("close");
    primary.refuse("configuration 0", "VDSET_E_NOTOPEN");
    primary.refuse("close", "VDSET_E_NOTOPEN");
    server.ok("server-close");
    server.refuse("server-close", "VDSET_E_NOTOPEN");
  }
}

TEST_CASE("names of 255 bytes and odd characters work, longer ones and backslashes do not") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  for (const std::string& name :
       {std::string(255, 'n'), std::string("{A1-b2}/../x:*?"), std::string("\xc3\xa4\xff")}) {
    configure(server, primary, name);
    activate(server, name, 1);
    primary.ok("open " + name);
    finish(server, primary, name, 1);
  }
  primary.refuse("create " + std::string(256, 'n'), "VDSET_E_INVALID");
  primary.refuse("create back\\slash", "VDSET_E_INVALID");
  CHECK(stage.nodes().empty());
}

TEST_CASE("a set is closed while other threads are in every call, or just begin one") {
  Stage stage;
  Role& all = stage.add("all");
  for (int seed = 0; seed < 30; seed += 5)
    all.ok("closes 5 closing seed=" + std::to_string(seed));
}

TEST_CASE("processes that create, open and close one name at the same time never hang or mix up") {
  Stage stage;
  std::vector<Role*> roles;
  for (int i = 0; i < 3; ++i) {
    roles.push_back(&stage.add("creates"));
    roles.back()->start("storm", "names 150 storm");
    roles.push_back(&stage.add("opens"));
    roles.back()->start("storm", "opens 150 storm");
  }
  std::uint64_t made = 0;
  for (Role* role : roles) {
    const Answer answer = role->wait_ok("storm");
    if (answer.fields.count("made") != 0) made += answer.number("made");
  }
  CHECK(made > 0);
  CHECK(stage.nodes().empty());
}

TEST_CASE("one process makes and ends sets from several threads at once") {
  Stage stage;
  Role& all = stage.add("all");
  for (const char* lane : {"a", "b", "c"})
    all.start(lane, std::string("backups 10 set-") + lane);
  for (const char* lane : {"a", "b", "c"})
    all.wait_ok(lane);
  CHECK(stage.nodes().empty());
}

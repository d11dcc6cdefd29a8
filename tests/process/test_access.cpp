// tests/process/test_access.cpp: processes of different users: who is let in, and what is trusted.
// Needs root, to become others; without it these cases are skipped, or fail where CI=true.
#include <doctest/doctest.h>
#include <unistd.h>
#include <string>
#include "tests/support/process.hpp"
#include "tests/support/skip.hpp"

using namespace process;

namespace {

constexpr unsigned group = 60001;  // Need not be in /etc/group.
constexpr unsigned other_group = 60002;
const User games{5, 60, ""};

User in_groups(const User& user, const std::string& groups) {
  return {user.uid, user.gid, groups};
}

bool is_root() {
  return support::is_root("only root can run roles as different users");
}

/// The whole of a small backup between these three, with a secondary's device.
void back_up(Role& server, Role& primary, Role& secondary, const std::string& create) {
  Plan plan;
  plan.devices = 2;
  plan.create = "as=p " + create;
  configure(server, primary, "users", plan);
  secondary.ok("join users as=s");
  activate(server, "users", 2);
  primary.start("first", "consume devices=users set=p");
  secondary.start("second", "consume devices=users.1 set=s");
  const Answer sent = server.ok("produce devices=users,users.1 count=20 size=65536");
  const std::uint64_t sum =
      primary.wait_ok("first").number("sum") + secondary.wait_ok("second").number("sum");
  CHECK(sum == sent.number("sum"));
  server.wait_ok("agent");
  secondary.ok("close set=s");
  server.ok("server-close");
  primary.ok("close set=p");
}

}  // namespace

TEST_CASE("another user is refused with SECURITY by default, as server and as secondary") {
  if (!is_root()) return;
  Stage stage;
  stage.set_directory(0755, 0, 0);  // All may look, and trust it: it is root's.
  Role& primary = stage.add("primary");
  Role& server = stage.add("server");
  Role& stranger = stage.add("stranger", nobody_user);
  CHECK(stranger.ok("who").number("uid") == nobody_user.uid);
  primary.ok("create mine");
  stranger.refuse("server-open mine", "VDSET_E_SECURITY");
  server.ok("server-open mine");
  server.ok("begin");
  server.ok("request 4096 0 1");
  server.ok("end");
  primary.ok("configuration -1");
  stranger.refuse("join mine", "VDSET_E_SECURITY");
  bury(server, primary);
}

TEST_CASE("a private directory of one user is SECURITY for another, and for root") {
  if (!is_root()) return;
  Stage stage;
  stage.set_directory(0700, nobody_user.uid, nobody_user.gid);
  Role& primary = stage.add("primary", nobody_user);
  Role& server = stage.add("server", daemon_user);
  Role& other = stage.add("root");
  primary.ok("create mine");
  server.refuse("server-open mine", "VDSET_E_SECURITY");
  server.refuse("create other", "VDSET_E_SECURITY");
  other.refuse("server-open mine", "VDSET_E_SECURITY");  // Neither root's own nor its: no trust.
  primary.ok("close");
  back_up(stage.add("same", nobody_user), primary, primary, "");
}

TEST_CASE("allowed_uids admits a user beside one's own, in a directory that both trust") {
  if (!is_root()) return;
  Stage stage;
  stage.set_directory(0755, 0, 0);
  Role& primary = stage.add("primary");
  Role& friendly = stage.add("friendly", nobody_user);
  Role& stranger = stage.add("stranger", daemon_user);
  primary.ok("create mine uids=3,65534");
  stranger.refuse("server-open mine", "VDSET_E_SECURITY");
  const Answer opened = friendly.call("server-open mine");
  CHECK_MESSAGE(opened.ok(), opened.error << " " << opened.text);
  friendly.call("server-close");
  primary.call("close");
  if (opened.ok()) back_up(friendly, primary, friendly, "uids=3,65534");
}

TEST_CASE("in a group directory the members of the group meet, and nobody else" *
          doctest::test_suite("essential")) {
  if (!is_root()) return;
  Stage stage;
  stage.set_directory(02770, 0, group);
  Role& primary = stage.add("primary", in_groups(nobody_user, "60002,60001"));
  Role& server = stage.add("server", in_groups(daemon_user, "60001"));
  Role& secondary = stage.add("secondary", User{games.uid, group, ""});
  Role& stranger = stage.add("stranger", in_groups(games, "60002"));
  primary.ok("create users");
  stranger.refuse("server-open users", "VDSET_E_SECURITY");
  stranger.refuse("create other", "VDSET_E_SECURITY");
  primary.ok("close");
  for (int i = 0; i < 3; ++i)
    back_up(server, primary, secondary, "");
  back_up(primary, server, secondary, "");
  CHECK(stage.nodes().empty());
}

TEST_CASE("in a group directory a stricter policy admits its uids and its group only") {
  if (!is_root()) return;
  Stage stage;
  stage.set_directory(02770, 0, group);
  Role& primary = stage.add("primary", in_groups(nobody_user, "60001"));
  Role& by_uid = stage.add("by-uid", in_groups(daemon_user, "60001"));
  Role& by_group = stage.add("by-group", in_groups(games, "60001,60002"));
  Role& stranger = stage.add("stranger", in_groups(User{6, 12, ""}, "60001"));
  const std::string policy = "gid=60002 uids=1";
  primary.ok("create users " + policy);
  stranger.refuse("server-open users", "VDSET_E_SECURITY");
  primary.ok("close");
  back_up(by_uid, primary, by_group, policy);
  configure(by_group, primary, "users", {1, policy, "", Plan().begin, {"4096 0 1"}});
  stranger.refuse("join users", "VDSET_E_SECURITY");
  by_uid.ok("join users");
  by_uid.ok("close");
  bury(by_group, primary);
}

TEST_CASE("directories that cannot be trusted are refused with SECURITY") {
  if (!is_root()) return;
  Stage stage;
  Role& as_root = stage.add("root");
  Role& as_nobody = stage.add("nobody", nobody_user);
  stage.set_directory(0777, 0, 0);
  as_root.refuse("create x", "VDSET_E_SECURITY");
  as_nobody.refuse("create x", "VDSET_E_SECURITY");
  stage.set_directory(0755, daemon_user.uid, daemon_user.gid);
  as_root.refuse("create x", "VDSET_E_SECURITY");
  as_nobody.refuse("create x", "VDSET_E_SECURITY");
  stage.set_directory(0770, 0, group);
  as_nobody.refuse("create x", "VDSET_E_SECURITY");
  as_root.refuse("create x dir=" + stage.directory() + "/none", "VDSET_E_INVALID");
  stage.set_directory(0700, 0, 0);
  as_nobody.refuse("create x", "VDSET_E_SECURITY");
  as_root.ok("create x");
  as_root.ok("close");
}

TEST_CASE("a killed primary of another user leaves a name that the group can use again") {
  if (!is_root()) return;
  Stage stage;
  stage.set_directory(02770, 0, group);
  Role& first = stage.add("first", in_groups(nobody_user, "60001"));
  Role& second = stage.add("second", in_groups(daemon_user, "60001"));
  first.ok("create users");
  second.refuse("create users", "VDSET_E_PROTOCOL");
  first.kill();
  second.ok("create users");
  second.ok("close");
  CHECK(stage.nodes().empty());
}

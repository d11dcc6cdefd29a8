// tests/unit/test_names.cpp
// Goal: names are judged, hashed, held, found and freed as docs/rendezvous.md, "Where" and "Names",
// says; a directory that others could write into is refused.
// Method: scratch directories, killed children, a mount namespace of one's own where several
// directories of the list are needed; modes and nodes looked at with stat.
#include <sys/mount.h>
#include <sys/resource.h>
#include <cerrno>
#include "abi/error.hpp"
#include "abi/names.hpp"
#include "tests/support/skip.hpp"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

Name named(const std::string& text) {
  Name name;
  REQUIRE(read_name(text.data(), text.size(), name));
  return name;
}

std::int64_t soon() {
  return port::deadline_after(5'000'000'000);
}

std::int32_t hold(const std::string& name, const char* directory, HeldName& held) {
  return hold_name(named(name), directory, false, held);
}

/// Result of looking for a name; closes what was found.
std::int32_t find(const std::string& name, const char* directory) {
  Found found = find_name(named(name), directory, soon());
  port::close_descriptor(found.socket);
  port::close_descriptor(found.directory.descriptor);
  return found.result;
}

mode_t mode_of(const std::string& path) {
  struct stat st {};
  return lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

bool last_error_says(const char* words) {
  return std::string(vdset_last_error()).find(words) != std::string::npos;
}

/// A process that holds a name until it is killed.
class Holder {
 public:
  Holder(const std::string& name, const char* directory)
      : child_([this, name, directory] {
          HeldName held;
          if (hold(name, directory, held) == VDSET_OK) there_.post();
          for (;;)
            pause();
          return 0;
        }) {
    REQUIRE(there_.await());
  }
  void kill() { child_.kill_and_wait(); }

 private:
  Signpost there_;
  Child child_;
};

}  // namespace

TEST_CASE("names are 1 to 255 bytes, any but NUL and backslash") {
  Name name;
  CHECK(judge_name(nullptr, "set", name) == VDSET_E_INVALID);
  CHECK(last_error_says("set name"));
  CHECK(judge_name("", "device", name) == VDSET_E_INVALID);
  CHECK(last_error_says("device name"));
  CHECK(judge_name(std::string(256, 'x').c_str(), "set", name) == VDSET_E_INVALID);
  CHECK(judge_name(std::string(100000, 'x').c_str(), "set", name) == VDSET_E_INVALID);
  CHECK(judge_name(std::string(255, 'x').c_str(), "set", name) == VDSET_OK);
  CHECK(name.bytes == 255);
  for (int byte = 1; byte < 256; ++byte) {
    const std::string text = {'a', static_cast<char>(byte), 'b'};
    CAPTURE(byte);
    CHECK(judge_name(text.c_str(), "set", name) == (byte == '\\' ? VDSET_E_INVALID : VDSET_OK));
  }
}

TEST_CASE("bytes from a peer are judged by length, not by a terminator") {
  Name name;
  CHECK_FALSE(read_name("", 0, name));
  CHECK_FALSE(read_name("a\0b", 3, name));
  CHECK_FALSE(read_name("a\\", 2, name));
  const std::string longest(256, 'x');
  CHECK(read_name(longest.data(), 255, name));
  CHECK_FALSE(read_name(longest.data(), 256, name));
  CHECK(read_name("abc", 2, name));
  CHECK(name == named("ab"));
  CHECK_FALSE(name == named("abc"));
  CHECK_FALSE(name == named("AB"));
}

TEST_CASE("the node name of a set never changes: these were fixed with version 0.1") {
  const auto stem = [](const std::string& text) { return std::string(stem_of(named(text)).text); };
  CHECK(stem("a") == "v1-af63dc4c8601ec8c1e66f8f69b675568");
  CHECK(stem("b") == "v1-af63df4c8601f1a51e6585f69b61fbd6");
  CHECK(stem("A") == "v1-af63fc4c860222ec1afe58f695f8f2a8");
  CHECK(stem("set") == "v1-823b87195ce20e236b2f5c21237530ae");
  CHECK(stem("a/b") == "v1-e620c3190468cf613809497a99486706");
  CHECK(stem("gr\xc3\xb6\xc3\x9f"
             "e") == "v1-b7450e1ef58140da7e4350a1a4ebb0f8");
  CHECK(stem(std::string(255, 'x')) == "v1-dff658324c99c7bf41cfd5a391db9cd6");
}

TEST_CASE("a held name is two nodes; it is found, it is in use, and freed it is gone") {
  Deadline guard;
  Scratch place;
  const std::size_t before = descriptor_count();
  HeldName held;
  CHECK(find("set", place.path()) == VDSET_E_INVALID);
  CHECK(last_error_says("no such set"));
  REQUIRE(hold("set", place.path(), held) == VDSET_OK);
  CHECK(place.entries().size() == 2);
  CHECK(find("set", place.path()) == VDSET_OK);
  CHECK(find("other", place.path()) == VDSET_E_INVALID);
  HeldName second;
  CHECK(hold("set", place.path(), second) == VDSET_E_PROTOCOL);
  CHECK(last_error_says("in use"));
  CHECK(find("set", place.path()) == VDSET_OK);
  free_name(held);
  CHECK(place.entries().empty());
  free_name(held);
  CHECK(find("set", place.path()) == VDSET_E_INVALID);
  CHECK(descriptor_count() == before);
  REQUIRE(hold("set", place.path(), held) == VDSET_OK);
  free_name(held);
  CHECK(descriptor_count() == before);
}

TEST_CASE("many names live side by side") {
  Deadline guard;
  Scratch place;
  std::vector<HeldName> held(40);
  for (std::size_t i = 0; i < held.size(); ++i)
    REQUIRE(hold("set " + std::to_string(i), place.path(), held[i]) == VDSET_OK);
  CHECK(place.entries().size() == 80);
  for (std::size_t i = 0; i < held.size(); ++i)
    CHECK(find("set " + std::to_string(i), place.path()) == VDSET_OK);
  for (HeldName& one : held)
    free_name(one);
  CHECK(place.entries().empty());
}

TEST_CASE("a name held by another process is in use until that process is gone, however it went") {
  Deadline guard;
  Scratch place;
  Holder holder("set", place.path());
  HeldName held;
  CHECK(hold("set", place.path(), held) == VDSET_E_PROTOCOL);
  CHECK(find("set", place.path()) == VDSET_OK);
  holder.kill();
  CHECK(place.entries().size() == 2);  // What a killed primary leaves, at most.
  CHECK(find("set", place.path()) == VDSET_E_INVALID);
  REQUIRE(hold("set", place.path(), held) == VDSET_OK);
  CHECK(find("set", place.path()) == VDSET_OK);
  free_name(held);
  CHECK(place.entries().empty());
}

TEST_CASE("the next Create in the directory removes what killed ones left, under any name") {
  Deadline guard;
  Scratch place;
  for (const char* name : {"one", "two", "three"}) {
    Holder holder(name, place.path());
    holder.kill();
  }
  Holder alive("alive", place.path());
  HeldName held;
  REQUIRE(hold("new", place.path(), held) == VDSET_OK);
  CHECK(place.entries().size() == 4);
  CHECK(find("alive", place.path()) == VDSET_OK);
  free_name(held);
  CHECK(place.entries().size() == 2);
  alive.kill();
}

TEST_CASE("the next Open in the directory removes what a killed one left, too") {
  Deadline guard;
  Scratch place;
  Holder holder("set", place.path());
  holder.kill();
  CHECK(find("set", place.path()) == VDSET_E_INVALID);
  CHECK(place.entries().empty());
}

TEST_CASE("half of the nodes left behind does not stand in the way") {
  Deadline guard;
  for (const char* suffix : {".lock", ".sock"}) {
    Scratch place;
    const std::string path = place / (stem_of(named("set")).text + std::string(suffix));
    close(open(path.c_str(), O_CREAT | O_RDWR, 0600));
    CHECK(find("set", place.path()) == VDSET_E_INVALID);
    HeldName held;
    CHECK(hold("set", place.path(), held) == VDSET_OK);
    CHECK(find("set", place.path()) == VDSET_OK);
    free_name(held);
    CHECK(place.entries().empty());
  }
}

TEST_CASE("links planted under the nodes' names are not followed") {
  Deadline guard;
  Scratch place, elsewhere;
  const std::string target = elsewhere / "precious";
  std::ofstream(target) << "kept";
  REQUIRE(chmod(target.c_str(), 0644) == 0);
  for (const char* suffix : {".lock", ".sock"})
    REQUIRE(symlink(target.c_str(),
                    (place / (stem_of(named("set")).text + std::string(suffix))).c_str()) == 0);
  HeldName held;
  if (hold("set", place.path(), held) == VDSET_OK) free_name(held);
  std::string content;
  std::ifstream(target) >> content;
  CHECK(content == "kept");
  CHECK(mode_of(target) == 0644);
}

TEST_CASE("a pipe under a node's name holds nobody up") {
  Deadline guard;
  Scratch place;
  const std::string node = place / (stem_of(named("set")).text + std::string(".lock"));
  REQUIRE(mkfifo(node.c_str(), 0600) == 0);
  CHECK(find_name(named("other"), place.path(), port::deadline_after(0)).result == VDSET_E_INVALID);
  REQUIRE((access(node.c_str(), F_OK) == 0 || mkfifo(node.c_str(), 0600) == 0));
  HeldName held;
  REQUIRE(hold("set", place.path(), held) == VDSET_OK);
  free_name(held);
}

TEST_CASE("a node that is also another file's name is not taken, and its mode stays") {
  Deadline guard;
  Scratch place;
  const Stem stem = stem_of(named("set"));
  const std::string mine = place / "private", node = place / (stem.text + std::string(".lock"));
  std::ofstream(mine) << "x";
  REQUIRE(chmod(mine.c_str(), 0400) == 0);
  REQUIRE(link(mine.c_str(), node.c_str()) == 0);
  port::Directory directory;
  const char* why = "";
  REQUIRE(port::directory_open(place.path(), false, directory, why) == 0);
  directory.group = true;  // Where a member could put it after the look of the cleaner.
  CHECK(port::node_lock(directory, stem.text) == (geteuid() == 0 ? -EPERM : -EACCES));
  CHECK(mode_of(mine) == 0400);
  port::close_descriptor(directory.descriptor);
}

TEST_CASE("files of others in the directory are left alone") {
  Scratch place;
  for (const char* name : {"v1-.lock", "v1-notes.txt", "readme", "v2-0123.lock", "v1-x"})
    std::ofstream(place / name) << "x";
  HeldName held;
  REQUIRE(hold("set", place.path(), held) == VDSET_OK);
  free_name(held);
  std::size_t kept = 0;
  for (const char* name : {"v1-notes.txt", "readme", "v2-0123.lock", "v1-x"})
    kept += access((place / name).c_str(), F_OK) == 0 ? 1 : 0;
  CHECK(kept == 4);
}

// ---- Modes ------------------------------------------------------------------------------------

TEST_CASE("the nodes are 0600 whatever the umask is") {
  for (mode_t mask : {0000, 0077, 0777}) {
    Scratch place;
    HeldName held;
    const mode_t before = umask(mask);
    const std::int32_t result = hold("set", place.path(), held);
    umask(before);
    REQUIRE(result == VDSET_OK);
    for (const std::string& node : place.entries())
      CHECK(mode_of(place / node) == 0600);
    free_name(held);
  }
}

TEST_CASE("in a group directory the nodes are 0660 of its group, whatever the umask is") {
  for (mode_t mask : {0000, 0077, 0777}) {
    Scratch place;
    REQUIRE(chmod(place.path(), 0770) == 0);
    HeldName held;
    const mode_t before = umask(mask);
    const std::int32_t result = hold("set", place.path(), held);
    umask(before);
    REQUIRE(result == VDSET_OK);
    CHECK(held.directory.group);
    for (const std::string& node : place.entries())
      CHECK(mode_of(place / node) == 0660);
    free_name(held);
  }
}

// ---- Directories ------------------------------------------------------------------------------

TEST_CASE("a directory that everybody may write into is refused, for create and for open") {
  Scratch place;
  for (mode_t mode : {0777, 0702, 01777, 0772}) {
    REQUIRE(chmod(place.path(), mode) == 0);
    HeldName held;
    CHECK(hold("set", place.path(), held) == VDSET_E_SECURITY);
    CHECK(last_error_says(place.path()));
    CHECK(last_error_says("everybody"));
    CHECK(find("set", place.path()) == VDSET_E_SECURITY);
  }
  CHECK(place.entries().empty());
}

TEST_CASE("a directory of a foreign group or owner is refused") {
  Scratch place;
  HeldName held;
  if (!support::is_root("only root can give a directory away")) return;
  REQUIRE(chown(place.path(), 4242, static_cast<gid_t>(-1)) == 0);
  CHECK(hold("set", place.path(), held) == VDSET_E_SECURITY);
  CHECK(last_error_says("owner"));
  REQUIRE(chown(place.path(), geteuid(), 4242) == 0);
  REQUIRE(chmod(place.path(), 0770) == 0);
  CHECK(hold("set", place.path(), held) == VDSET_E_SECURITY);
  CHECK(last_error_says("group"));
  REQUIRE(chmod(place.path(), 0750) == 0);  // The group may look, not write.
  CHECK(hold("set", place.path(), held) == VDSET_OK);
  free_name(held);
}

TEST_CASE("a link to a directory, a file and a missing directory are refused") {
  Scratch place, elsewhere;
  const std::string link = elsewhere / "link", file = elsewhere / "file";
  REQUIRE(symlink(place.path(), link.c_str()) == 0);
  std::ofstream(file) << "x";
  HeldName held;
  const std::size_t before = descriptor_count();
  CHECK(hold("set", link.c_str(), held) == VDSET_E_SECURITY);
  CHECK(find("set", link.c_str()) == VDSET_E_SECURITY);
  CHECK(hold("set", file.c_str(), held) == VDSET_E_SECURITY);
  CHECK(hold("set", (elsewhere / "missing").c_str(), held) == VDSET_E_INVALID);
  CHECK(last_error_says("missing"));
  CHECK(find("set", (elsewhere / "missing").c_str()) == VDSET_E_INVALID);
  CHECK(hold("set", ("/" + std::string(300, 'x')).c_str(), held) == VDSET_E_INVALID);
  CHECK(descriptor_count() == before);
  CHECK(place.entries().empty());
}

TEST_CASE("the option comes before the environment, and the environment before the list") {
  Scratch option, environment;
  REQUIRE(setenv("VDSET_RUNTIME_DIR", environment.path(), 1) == 0);
  HeldName one, two;
  REQUIRE(hold("set", nullptr, one) == VDSET_OK);
  CHECK(environment.entries().size() == 2);
  REQUIRE(hold("set", option.path(), two) == VDSET_OK);
  CHECK(option.entries().size() == 2);
  CHECK(find("set", nullptr) == VDSET_OK);
  free_name(one);
  CHECK(find("set", nullptr) == VDSET_E_INVALID);
  CHECK(find("set", option.path()) == VDSET_OK);
  free_name(two);
  unsetenv("VDSET_RUNTIME_DIR");
}

TEST_CASE("without a free descriptor no place of the list is called wrong") {
  Scratch temporary;
  Child child([&temporary] {
    unsetenv("VDSET_RUNTIME_DIR");
    setenv("TMPDIR", temporary.path(), 1);
    const int next = dup(0);  // The lowest free number.
    close(next);
    const rlimit limit{static_cast<rlim_t>(next), static_cast<rlim_t>(next)};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
    HeldName held;
    if (hold("set", nullptr, held) != VDSET_E_MEMORY) return 2;
    return last_error_says("cannot open the directory to meet in: ") ? 0 : 3;
  });
  CHECK(child.exit_code() == 0);
}

TEST_CASE("the same name alive in two directories of the list is refused, naming both") {
  Deadline guard;
  Scratch temporary;
  Child child([&temporary] {
    // A /run of our own, so that nothing of the machine is touched.
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
    if (mount("none", "/run", "tmpfs", 0, "mode=755") != 0) return 77;
    const std::string uid = std::to_string(geteuid());
    mkdir("/run/user", 0755);
    mkdir(("/run/user/" + uid).c_str(), 0700);
    unsetenv("VDSET_RUNTIME_DIR");
    setenv("TMPDIR", temporary.path(), 1);
    HeldName one, two;
    const std::string second = temporary / ("vdset-" + uid);
    if (hold("set", nullptr, one) != VDSET_OK) return 1;
    if (entries_of("/run/user/" + uid + "/vdset").size() != 2) return 2;
    if (mode_of("/run/user/" + uid + "/vdset") != 0700) return 3;
    mkdir(second.c_str(), 0700);
    if (find("set", nullptr) != VDSET_OK) return 4;
    if (hold("set", second.c_str(), two) != VDSET_OK) return 5;
    const std::size_t before = descriptor_count();
    if (find("set", nullptr) != VDSET_E_INVALID) return 6;
    if (!last_error_says("/run/user") || !last_error_says(second.c_str())) return 7;
    if (descriptor_count() != before) return 8;
    free_name(one);
    if (find("set", nullptr) != VDSET_OK) return 9;
    free_name(two);
    rmdir(second.c_str());
    return 0;
  });
  const int code = child.exit_code();
  if (code == 77)
    support::skip("no mount namespace of one's own here");
  else
    CHECK(code == 0);
}

// ---- Who may attach ---------------------------------------------------------------------------

TEST_CASE("admitted are oneself, root, the listed users and the members of the listed group") {
  int pair[2];
  REQUIRE(port::socket_make_pair(pair) == 0);
  const std::uint32_t me = port::effective_uid();
  AccessPolicy none{};
  CHECK(is_admitted(pair[0], {1, me, 5}, none));
  CHECK(is_admitted(pair[0], {1, 0, 5}, none));
  CHECK_FALSE(is_admitted(pair[0], {1, me + 4711, 5}, none));
  AccessPolicy users{0, 0, 2, {77, me + 4711}};
  CHECK(is_admitted(pair[0], {1, 77, 5}, users));
  CHECK(is_admitted(pair[0], {1, me + 4711, 5}, users));
  CHECK_FALSE(is_admitted(pair[0], {1, me + 4712, 5}, users));
  AccessPolicy group{1, 55555, 0, {}};
  CHECK(is_admitted(pair[0], {1, me + 4711, 55555}, group));
  CHECK_FALSE(is_admitted(pair[0], {1, me + 4711, 55556}, group));
  group.has_gid = 0;
  CHECK_FALSE(is_admitted(pair[0], {1, me + 4711, 55555}, group));
  AccessPolicy broken{0, 0, ~0u, {}};  // A count from a peer: the list has 16 places, no more.
  CHECK_FALSE(is_admitted(pair[0], {1, me + 4711, 5}, broken));
  port::close_descriptor(pair[0]);
  port::close_descriptor(pair[1]);
}

TEST_CASE("the kernel's word on a peer is this process, and a live one is watched") {
  int pair[2];
  REQUIRE(port::socket_make_pair(pair) == 0);
  port::Credentials who{};
  REQUIRE(port::peer_credentials(pair[0], who) == 0);
  CHECK(who.pid == port::own_pid());
  CHECK(who.uid == port::effective_uid());
  int watch = port::peer_watch(pair[0], who);
  CHECK(watch >= 0);
  CHECK(port::wait_readable(watch, 0) == 0);
  port::close_descriptor(watch);
  port::close_descriptor(pair[0]);
  port::close_descriptor(pair[1]);
}

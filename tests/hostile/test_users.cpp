// tests/hostile/test_users.cpp
// Goal: another user, who was not let in, can neither open, nor list, nor disturb a set, wherever
// its directory lies.
// Method: a set of this process (root) and children that really become another user. Needs root;
// without it these cases are skipped, or fail where CI=true.
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "tests/hostile/impostor.hpp"
#include "tests/support/skip.hpp"

using namespace vdset;
using namespace vdset::hostile;

namespace {

constexpr unsigned stranger = 65534;

bool is_root() {
  return support::is_root("only root can become another user");
}

/// Runs the body as the stranger; its result.
int as_stranger(const std::function<int()>& body) {
  unit::Child child([&body] {
    if (setgroups(0, nullptr) != 0 || setgid(stranger) != 0 || setuid(stranger) != 0) return 99;
    return body();
  });
  return child.exit_code();
}

/// A set whose directory has this mode, with `allowed` beside root (0: nobody).
struct Set {
  unit::Deadline deadline{60};
  Scratch place;
  vdset_set* set = nullptr;
  std::string lock, socket;

  explicit Set(mode_t mode, std::uint32_t allowed = 0) {
    REQUIRE(chmod(place.path(), mode) == 0);
    open_set("set", set, allowed);
    Name name;
    REQUIRE(judge_name("set", "set", name) == VDSET_OK);
    lock = place / (stem_of(name).text + std::string(".lock"));
    socket = place / (stem_of(name).text + std::string(".sock"));
  }
  ~Set() {
    vdset_set_close(set);
    unlink((place / ".v1").c_str());
  }
  std::int32_t create(const char* name, vdset_set*& out, std::uint32_t allowed = 0) const {
    vdset_config config{};
    config.struct_bytes = sizeof config;
    config.device_count = 1;
    vdset_set_options options{};
    options.struct_bytes = sizeof options;
    options.directory = place.path();
    options.allowed_uids = &allowed;
    options.allowed_uids_count = allowed != 0 ? 1 : 0;
    return vdset_set_create(name, &config, &options, &out);
  }
  void open_set(const char* name, vdset_set*& out, std::uint32_t allowed = 0) const {
    REQUIRE_MESSAGE(create(name, out, allowed) == VDSET_OK, vdset_last_error());
  }
  /// Whether the set still answers its own user.
  bool answers() const {
    Caller caller;
    caller.hello(place, "set", core::Role::server);
    Message welcome;
    Descriptors parts;
    return caller.receive(welcome, parts) == 0 && welcome.kind == MessageKind::welcome_server;
  }
  sockaddr_un address() const {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::snprintf(at.sun_path, sizeof at.sun_path, "%s", socket.c_str());
    return at;
  }
};

/// What a stranger tries on the nodes; bit by bit what it could do.
int attack_nodes(const Set& set) {
  const sockaddr_un at = set.address();
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  int done = 0;
  if (open(set.lock.c_str(), O_RDONLY) >= 0) done |= 1;
  if (open(set.lock.c_str(), O_RDWR) >= 0) done |= 2;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) done |= 4;
  if (unlink(set.socket.c_str()) == 0 || unlink(set.lock.c_str()) == 0) done |= 8;
  if (rename(set.lock.c_str(), (set.lock + "x").c_str()) == 0) done |= 16;
  if (symlink("/etc/passwd", (set.place / "v1-x.lock").c_str()) == 0) done |= 32;
  if (open((set.place / ".v1").c_str(), O_RDONLY | O_CREAT, 0666) >= 0) done |= 64;
  return done;
}

}  // namespace

TEST_CASE("a private directory: a stranger sees nothing, reaches nothing") {
  if (!is_root()) return;
  const Set set(0700);
  CHECK(as_stranger([&] {
          return open(set.place.path(), O_RDONLY | O_DIRECTORY) >= 0 ? 1 : attack_nodes(set) << 1;
        }) == 0);
  CHECK(set.answers());
}

TEST_CASE("a directory that all can list: a stranger sees nodes, and can touch none of them") {
  if (!is_root()) return;
  const Set set(0755);
  CHECK(as_stranger([&] { return attack_nodes(set); }) == 0);
  CHECK(set.answers());
}

TEST_CASE("a stranger who holds the directory's lock holds up nobody") {
  if (!is_root()) return;
  const Set set(0755);
  const unit::Signpost held, over;
  unit::Child child([&] {
    if (setgroups(0, nullptr) != 0 || setgid(stranger) != 0 || setuid(stranger) != 0) return 99;
    const int fd = open(set.place.path(), O_RDONLY | O_DIRECTORY);
    const int got = flock(fd, LOCK_EX);
    held.post();
    over.await();
    return got == 0 ? 0 : 1;
  });
  REQUIRE(held.await());
  vdset_set* other = nullptr;
  set.open_set("other", other);
  CHECK(vdset_set_close(other) == VDSET_OK);
  CHECK(set.answers());
  over.post();
  CHECK(child.exit_code() == 0);
}

TEST_CASE(
    "a set that admits one other user: a third is told so, takes no place, and floods nobody") {
  if (!is_root()) return;
  const Set set(0755, 1);
  // As many connections as there are places, silent: a place is for who is admitted only.
  CHECK(as_stranger([&] {
          const sockaddr_un at = set.address();
          int refused = 0;
          for (int i = 0; i < 80; ++i) {
            const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
            if (connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) continue;
            Message answer;
            pollfd p{fd, POLLIN, 0};
            if (poll(&p, 1, 10000) == 1 && recv(fd, &answer, sizeof answer, 0) > 0 &&
                answer.kind == MessageKind::refused && answer.result == VDSET_E_SECURITY)
              ++refused;
            else
              break;
          }
          return refused == 80 ? 0 : 1;
        }) == 0);
  CHECK(set.answers());
}

TEST_CASE("a file or a link that a stranger put in the place of a directory is not used") {
  if (!is_root()) return;
  const unit::Deadline deadline(60);
  const Scratch place;
  REQUIRE(chmod(place.path(), 01777) == 0);
  const std::string squatted = place / "vdset-0";
  for (bool link : {false, true}) {
    CHECK(as_stranger([&] {
            if (link) return symlink("/tmp", squatted.c_str()) == 0 ? 0 : 1;
            return mkdir(squatted.c_str(), 0777) == 0 ? 0 : 1;
          }) == 0);
    vdset_config config{};
    config.struct_bytes = sizeof config;
    config.device_count = 1;
    vdset_set_options options{};
    options.struct_bytes = sizeof options;
    options.directory = squatted.c_str();
    vdset_set* set = nullptr;
    CHECK(vdset_set_create("set", &config, &options, &set) == VDSET_E_SECURITY);
    if (link)
      unlink(squatted.c_str());
    else
      rmdir(squatted.c_str());
  }
}

TEST_CASE("the umask changes nothing: what is made is the same under 000 and 077") {
  const unit::Deadline deadline(60);
  mode_t modes[2][2] = {};
  int row = 0;
  for (mode_t mask : {mode_t{0}, mode_t{077}}) {
    const mode_t before = umask(mask);
    {
      const Set set(0700);
      struct stat st {};
      REQUIRE(stat(set.lock.c_str(), &st) == 0);
      modes[row][0] = st.st_mode;
      REQUIRE(stat(set.socket.c_str(), &st) == 0);
      modes[row++][1] = st.st_mode;
    }
    umask(before);
  }
  CHECK(modes[0][0] == modes[1][0]);
  CHECK(modes[0][1] == modes[1][1]);
  CHECK((modes[0][0] & 0777) == 0600);
  CHECK((modes[0][1] & 0777) == 0600);
}

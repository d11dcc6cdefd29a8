// tests/unit/test_message.cpp
// Goal: one packet each, judged as docs/rendezvous.md, "Messages", says; whatever is refused leaves
// no descriptor behind.
// Method: a real socket pair and real memory files; /proc/self/fd counted before and after.
#include "abi/message.hpp"
#include <cerrno>
#include <sys/socket.h>
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

struct Pair {
  int ends[2] = {-1, -1};
  Pair() { REQUIRE(port::socket_make_pair(ends) == 0); }
  ~Pair() {
    for (int& end : ends)
      port::close_descriptor(end);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
};

/// Memory files to pass; closed with the object.
struct Files {
  std::vector<int> at;
  explicit Files(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      at.push_back(memfd_create("unit", MFD_CLOEXEC));
  }
  ~Files() {
    for (int file : at)
      close(file);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  gsl::span<const int> first(std::size_t n) const { return {at.data(), n}; }
};

ino_t inode(int descriptor) {
  struct stat st {};
  return fstat(descriptor, &st) == 0 ? st.st_ino : 0;
}

/// Sends raw bytes with any number of descriptors.
void send_raw(int socket, const void* bytes, std::size_t size, const std::vector<int>& files) {
  iovec io{const_cast<void*>(bytes), size};
  std::vector<char> control(CMSG_SPACE(sizeof(int) * files.size()));
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  if (!files.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * files.size());
    std::memcpy(CMSG_DATA(header), files.data(), sizeof(int) * files.size());
  }
  REQUIRE(sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(size));
}

Message message_of(MessageKind kind, std::int32_t result = 0) {
  Message m;
  m.kind = kind;
  m.result = result;
  return m;
}

/// docs/rendezvous.md, the table of kinds: how many descriptors each may carry.
bool is_documented(std::uint32_t kind, bool fine, std::size_t n) {
  switch (kind) {
    case 2: return n == 1;            // WELCOME_SERVER: the listener.
    case 3: return n == 2;            // WELCOME_SECONDARY: S, W.
    case 5: return n == 3;            // PARTS: S, W, the request socket.
    case 7:                           // GRANT: C of the device.
    case 9: return n == (fine ? 1u : 0u);  // POOL: D.
    default: return n == 0;
  }
}

}  // namespace

TEST_CASE("a message arrives as it was sent, field by field") {
  Pair pair;
  Message sent = message_of(MessageKind::abort, -77);
  sent.request = 5;
  sent.a = 1;
  sent.b = 2;
  sent.c = 3;
  sent.d = 4;
  for (std::uint32_t i = 0; i < 4; ++i)
    sent.uuid[i] = 100 + i;
  sent.terms.wish = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  sent.terms.access.uid_count = 16;
  sent.terms.access.uids[15] = 4711;
  sent.set_text("why", 3);
  REQUIRE(send_message(pair.ends[0], sent) == 0);
  Message got;
  Descriptors none;
  REQUIRE(receive_message(pair.ends[1], got, none) == 0);
  CHECK(std::memcmp(&got, &sent, sizeof sent) == 0);
  CHECK(none.count == 0);
}

TEST_CASE("the fields lie at the documented offsets") {
  const Message m;
  const auto offset = [&m](const auto& field) {
    return reinterpret_cast<const char*>(&field) - reinterpret_cast<const char*>(&m);
  };
  CHECK(offset(m.mark) == 0);
  CHECK(offset(m.kind) == 4);
  CHECK(offset(m.request) == 8);
  CHECK(offset(m.result) == 12);
  CHECK(offset(m.a) == 16);
  CHECK(offset(m.d) == 28);
  CHECK(offset(m.uuid) == 32);
  CHECK(offset(m.text_bytes) == 48);
  CHECK(m.mark == 0x76647301);
  CHECK(sizeof m <= 4096);
}

TEST_CASE("every kind carries the descriptors of the table, and any other number closes them all") {
  Deadline guard;
  Pair pair;
  const Files files(12);
  const std::size_t before = descriptor_count();
  for (std::uint32_t kind = 1; kind <= 13; ++kind)
    for (bool fine : {true, false})
      for (std::size_t n = 0; n <= 12; ++n) {
        const Message sent = message_of(static_cast<MessageKind>(kind), fine ? 0 : -1);
        REQUIRE(send_message(pair.ends[0], sent, files.first(n)) == 0);
        Message got;
        Descriptors parts;
        const bool due = is_documented(kind, fine, n);
        CAPTURE(kind);
        CAPTURE(fine);
        CAPTURE(n);
        CHECK(receive_message(pair.ends[1], got, parts) == (due ? 0 : -EPROTO));
        CHECK(parts.count == (due ? n : 0));
        CHECK(descriptor_count() == before + (due ? n : 0));
        for (std::size_t i = 0; i < parts.count; ++i) {
          CHECK(inode(parts.at[i]) == inode(files.at[i]));
          CHECK((fcntl(parts.at[i], F_GETFD) & FD_CLOEXEC) != 0);
        }
        parts.close_all();
        CHECK(descriptor_count() == before);
      }
}

TEST_CASE("more descriptors than any kind carries are all closed") {
  Pair pair;
  const Files files(200);
  const std::size_t before = descriptor_count();
  for (std::size_t n : {13u, 14u, 64u, 200u}) {
    const Message sent = message_of(MessageKind::welcome_secondary);
    send_raw(pair.ends[0], &sent, sizeof sent, {files.at.begin(), files.at.begin() + long(n)});
    Message got;
    Descriptors parts;
    CHECK(receive_message(pair.ends[1], got, parts) == -EPROTO);
    CHECK(parts.count == 0);
    CHECK(descriptor_count() == before);
  }
}

TEST_CASE("a foreign mark, text or list longer than its field: refused, descriptors closed") {
  Pair pair;
  const Files files(3);
  const std::size_t before = descriptor_count();
  const auto refused = [&](auto spoil) {
    Message sent = message_of(MessageKind::parts);
    spoil(sent);
    REQUIRE(send_message(pair.ends[0], sent, files.first(3)) == 0);
    Message got;
    Descriptors parts;
    const int error = receive_message(pair.ends[1], got, parts);
    CHECK(descriptor_count() == before + parts.count);
    return error == -EPROTO && parts.count == 0;
  };
  for (std::uint32_t mark : {0u, ~0u, 0x01736476u, 0x76647302u, 0x76647300u})
    CHECK(refused([mark](Message& m) { m.mark = mark; }));
  for (std::uint32_t bytes : {257u, 4096u, ~0u})
    CHECK(refused([bytes](Message& m) { m.text_bytes = bytes; }));
  for (std::uint32_t count : {17u, ~0u})
    CHECK(refused([count](Message& m) { m.terms.access.uid_count = count; }));
  CHECK_FALSE(refused([](Message& m) { m.text_bytes = 256; }));
}

TEST_CASE("a packet that is cut, padded or empty is refused, descriptors closed") {
  Pair pair;
  const Files files(3);
  const std::size_t before = descriptor_count();
  std::vector<char> bytes(sizeof(Message) + 100);
  const Message honest = message_of(MessageKind::parts);
  std::memcpy(bytes.data(), &honest, sizeof honest);
  for (std::size_t size : {std::size_t{1}, std::size_t{48}, sizeof(Message) - 1,
                           sizeof(Message) + 1, sizeof(Message) + 100}) {
    send_raw(pair.ends[0], bytes.data(), size, files.at);
    Message got;
    Descriptors parts;
    CAPTURE(size);
    CHECK(receive_message(pair.ends[1], got, parts) == -EPROTO);
    CHECK(descriptor_count() == before);
  }
  send_raw(pair.ends[0], bytes.data(), 0, files.at);
  Message got;
  Descriptors parts;
  CHECK(receive_message(pair.ends[1], got, parts) < 0);
  CHECK(descriptor_count() == before);
}

TEST_CASE("a kind that does not exist is refused") {
  Pair pair;
  for (std::uint32_t kind : {0u, 14u, 99u, ~0u}) {
    REQUIRE(send_message(pair.ends[0], message_of(static_cast<MessageKind>(kind))) == 0);
    Message got;
    Descriptors none;
    CAPTURE(kind);
    CHECK(receive_message(pair.ends[1], got, none) == -EPROTO);
  }
}

TEST_CASE("nothing there is EAGAIN, a peer that hung up is EPIPE, and neither waits nor signals") {
  Deadline guard;
  Pair pair;
  Message got;
  Descriptors none;
  CHECK(receive_message(pair.ends[1], got, none) == -EAGAIN);
  port::close_descriptor(pair.ends[0]);
  CHECK(receive_message(pair.ends[1], got, none) == -EPIPE);
  CHECK(send_message(pair.ends[1], got) == -EPIPE);
}

TEST_CASE("what a peer said last arrives, also when it hung up on something it had not read") {
  Deadline guard;
  for (const bool unread : {false, true}) {
    CAPTURE(unread);
    Pair pair;
    Message said, got;
    Descriptors none;
    said.kind = MessageKind::abort;
    if (unread) CHECK(send_message(pair.ends[1], said) == 0);
    CHECK(send_message(pair.ends[0], said) == 0);
    said.kind = MessageKind::leave;
    CHECK(send_message(pair.ends[0], said) == 0);
    port::close_descriptor(pair.ends[0]);
    CHECK(receive_message(pair.ends[1], got, none) == 0);
    CHECK(got.kind == MessageKind::abort);
    CHECK(receive_message(pair.ends[1], got, none) == 0);
    CHECK(got.kind == MessageKind::leave);
    CHECK(receive_message(pair.ends[1], got, none) == -EPIPE);
    CHECK(receive_message(pair.ends[1], got, none) == -EPIPE);
  }
}

TEST_CASE("a peer that does not read never makes the sender wait") {
  Deadline guard;
  Pair pair;
  int error = 0;
  std::size_t sent = 0;
  while (error == 0 && sent < 1'000'000) {
    error = send_message(pair.ends[0], message_of(MessageKind::leave));
    sent += error == 0 ? 1 : 0;
  }
  CHECK(error == -EAGAIN);
  CHECK(sent > 0);
}

TEST_CASE("what was taken stays open, the rest is closed with the object") {
  Pair pair;
  const Files files(3);
  const std::size_t before = descriptor_count();
  int kept = -1;
  {
    REQUIRE(send_message(pair.ends[0], message_of(MessageKind::parts), files.first(3)) == 0);
    Message got;
    Descriptors parts;
    REQUIRE(receive_message(pair.ends[1], got, parts) == 0);
    kept = parts.take(1);
    CHECK(parts.take(1) == -1);
    CHECK(parts.take(3) == -1);
    CHECK(parts.take(~std::size_t{0}) == -1);
  }
  CHECK(descriptor_count() == before + 1);
  CHECK(inode(kept) == inode(files.at[1]));
  port::close_descriptor(kept);
  CHECK(kept == -1);
}

TEST_CASE("receiving into an object that still holds descriptors closes those first") {
  Pair pair;
  const Files files(3);
  const std::size_t before = descriptor_count();
  Message got;
  Descriptors parts;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(send_message(pair.ends[0], message_of(MessageKind::parts), files.first(3)) == 0);
    REQUIRE(receive_message(pair.ends[1], got, parts) == 0);
    CHECK(descriptor_count() == before + 3);
  }
  CHECK(receive_message(pair.ends[1], got, parts) == -EAGAIN);
  CHECK(descriptor_count() == before);
}

TEST_CASE("text is cut to its field") {
  Message m;
  const std::string words(400, 'w');
  m.set_text(words.data(), words.size());
  CHECK(m.text_bytes == 256);
  CHECK(std::memcmp(m.text, words.data(), 256) == 0);
  m.set_text("", 0);
  CHECK(m.text_bytes == 0);
}

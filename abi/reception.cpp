// abi/reception.cpp: see reception.hpp.
#include "abi/reception.hpp"
#include <cerrno>
#include <cstring>
#include "abi/error.hpp"
#include "abi/hooks.hpp"
#include "abi/names.hpp"

namespace vdset {
namespace {

constexpr std::int64_t hello_wait_ns = 5'000'000'000;
constexpr std::int64_t exhausted_pause_ns = 100'000'000;

void answer_refusal(int socket, std::uint32_t request, std::int32_t result, const char* why) {
  Message answer;
  answer.kind = MessageKind::refused;
  answer.request = request;
  answer.result = result;
  answer.set_text(why, std::strlen(why));
  send_message(socket, answer);
}

}  // namespace

void refuse(const Visitor& visitor, std::int32_t result, const char* why) {
  answer_refusal(visitor.socket, visitor.hello.request, result, why);
  say(VDSET_LOG_WARNING, "process %u is refused: %s", visitor.who.pid, why);
  let_go(visitor);
}

void let_go(const Visitor& visitor) {
  int socket = visitor.socket;
  int watch = visitor.watch;
  port::close_descriptor(socket);
  port::close_descriptor(watch);
}

int Reception::open(Role& role, int listener, std::uint32_t first_tag, const AccessPolicy& access,
                    void (*admit)(Role&, const Visitor&)) {
  close();
  listener_watch_ = library::watch(role, listener, first_tag);
  if (listener_watch_ < 0) return listener_watch_;
  port::refuse_descriptors(listener, true);  // Nobody who comes has any to give.
  role_ = &role;
  listener_ = listener;
  first_tag_ = first_tag;
  access_ = access;
  admit_ = admit;
  return 0;
}

void Reception::close() {
  if (listener_watch_ >= 0) library::unwatch(listener_watch_);
  for (std::uint32_t i = 0; i < waiting_max; ++i)
    if (waiting_[i].socket >= 0) forget(i, false);
  listener_ = -1;
  update_deadline();
}

void Reception::drop() {
  for (Waiting& at : waiting_)
    port::close_descriptor(at.socket);
}

void Reception::ready(std::uint32_t tag) {
  if (tag == first_tag_)
    accept_one();
  else
    read_hello(tag - first_tag_ - 1);
}

void Reception::accept_one() {
  int socket = port::socket_accept(listener_);
  const bool passes = socket == -EAGAIN || socket == -ECONNABORTED || socket == -EINTR;
  if (passes && !port::is_hung_up(listener_)) return;
  if (socket < 0) {
    // Out of descriptors, or shut down by a peer: do not spin on what stays readable.
    library::unwatch(listener_watch_);
    resume_ns_ = port::now_ns() + exhausted_pause_ns;
    return update_deadline();
  }
  // Before a word of theirs is read or a place is theirs: who is not admitted keeps nobody out.
  port::Credentials who;
  if (port::peer_credentials(socket, who) != 0 || !is_admitted(socket, who, access_)) {
    answer_refusal(socket, 0, VDSET_E_SECURITY,
                   "this user is not admitted; see allowed_uids and allowed_gid");
    return port::close_descriptor(socket);
  }
  const std::uint32_t place = make_room();
  const int watch = library::watch(*role_, socket, first_tag_ + 1 + place);
  if (watch < 0) return port::close_descriptor(socket);
  waiting_[place] = {socket, watch, port::now_ns() + hello_wait_ns};
  update_deadline();
}

/// A free place; that of the oldest when all wait, so that silent ones do not keep others out.
std::uint32_t Reception::make_room() {
  std::uint32_t free = 0;
  std::uint32_t oldest = 0;
  while (free < waiting_max && waiting_[free].socket >= 0) {
    if (waiting_[free].deadline_ns < waiting_[oldest].deadline_ns) oldest = free;
    ++free;
  }
  if (free < waiting_max) return free;
  forget(oldest, false);
  return oldest;
}

void Reception::read_hello(std::uint32_t i) {
  if (i >= waiting_max || waiting_[i].socket < 0) return;
  Message hello;
  const int error = receive_message(waiting_[i].socket, hello);
  if (error == -EAGAIN) return;
  const auto role = static_cast<core::Role>(hello.a);
  const bool is_hello = hello.kind == MessageKind::hello &&
                        (role == core::Role::server || role == core::Role::secondary);
  const bool is_wake = hello.kind == MessageKind::wake;
  if (error != 0 || (!is_hello && !is_wake)) return forget(i, false);
  int socket = waiting_[i].socket;
  forget(i, true);
  Visitor visitor{socket, -1, {}, role, hello};
  const bool is_known = port::peer_credentials(socket, visitor.who) == 0;
  if (is_wake) {  // Answered by a look, or not at all.
    const bool same_layout = hello.b >> 16 == core::layout_version >> 16;
    return is_known && same_layout ? admit_(*role_, visitor) : let_go(visitor);
  }
  if (!is_known) return refuse(visitor, VDSET_E_SECURITY, "the kernel does not say who this is");
  if (hello.b >> 16 != core::layout_version >> 16)
    return refuse(visitor, VDSET_E_NOTSUPPORTED,
                  "another version of the region layout; use the same release");
  visitor.watch = port::peer_watch(socket, visitor.who);
  if (visitor.watch < 0)
    return refuse(visitor, VDSET_E_SECURITY,
                  "the kernel cannot tell when this process ends (foreign pid namespace?)");
  admit_(*role_, visitor);
}

void Reception::forget(std::uint32_t i, bool keep_socket) {
  library::unwatch(waiting_[i].watch);
  if (!keep_socket) port::close_descriptor(waiting_[i].socket);
  waiting_[i].socket = -1;
  update_deadline();
}

void Reception::tick(std::int64_t now_ns) {
  for (std::uint32_t i = 0; i < waiting_max; ++i)
    if (waiting_[i].socket >= 0 && waiting_[i].deadline_ns <= now_ns) forget(i, false);
  if (listener_ >= 0 && listener_watch_ < 0 && resume_ns_ <= now_ns) {
    listener_watch_ = library::watch(*role_, listener_, first_tag_);
    resume_ns_ = listener_watch_ < 0 ? now_ns + exhausted_pause_ns : port::never;
  }
  update_deadline();
}

void Reception::update_deadline() {
  if (role_ == nullptr) return;
  role_->deadline_ns = listener_ >= 0 ? resume_ns_ : port::never;
  for (const Waiting& at : waiting_)
    if (at.socket >= 0 && at.deadline_ns < role_->deadline_ns) role_->deadline_ns = at.deadline_ns;
}

}  // namespace vdset

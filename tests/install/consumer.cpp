// tests/install/consumer.cpp: a C++ program outside the tree, built against an installed vdset.
// Waits in poll() for the configuration of a set that nobody serves, then for its abort.
#include <poll.h>
#include <vdset.h>
#include <cstdio>
#include <memory>

namespace {

struct CloseSet {
  void operator()(vdset_set* set) const { vdset_set_close(set); }
};

int fail(const char* what) {
  std::printf("%s: %s\n", what, vdset_last_error());
  return 1;
}

}  // namespace

int main() {
  vdset_config wish{};
  wish.struct_bytes = sizeof wish;
  wish.device_count = 2;
  vdset_set* made = nullptr;
  if (vdset_set_create("consumer", &wish, nullptr, &made) != VDSET_OK) return fail("create");
  const std::unique_ptr<vdset_set, CloseSet> set(made);
  pollfd event{-1, POLLIN, 0};
  if (vdset_set_get_descriptor(set.get(), &event.fd) != VDSET_OK) return fail("descriptor");
  if (vdset_set_arm(set.get()) != VDSET_OK || poll(&event, 1, 0) != 0) return fail("arm");
  if (vdset_set_signal_abort(set.get(), 1, "enough") != VDSET_OK) return fail("abort");
  if (poll(&event, 1, 10'000) != 1) return fail("poll");
  wish.struct_bytes = sizeof wish;
  const int32_t result = vdset_set_get_configuration(set.get(), 0, &wish);
  if (result != VDSET_E_ABORT) return fail("configuration");
  return std::puts("told of the abort") < 0;
}

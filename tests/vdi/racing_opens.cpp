// Goal: of two threads that open the same object one does it and the other is told that it is open;
// nothing of either is left. Method: both at once, with a name each, many objects.
#include <stdio.h>
#include <atomic>
#include <string>
#include <thread>
#include "vdi.h"
#include "vdi_server.h"
#include "vdierror.h"

/// Both threads; true: one got NOERROR, the other VD_E_PROTOCOL.
template <class Call>
static bool one_wins(Call call) {
  std::atomic<int> ready(0), won(0), refused(0);
  const auto run = [&](int which) {
    ++ready;
    while (ready.load() < 2)
      std::this_thread::yield();
    const int result = call(which);
    won += result == 0 ? 1 : 0;
    refused += result == VD_E_PROTOCOL ? 1 : 0;
  };
  std::thread other(run, 1);
  run(0);
  other.join();
  if (won.load() == 1 && refused.load() == 1) return true;
  fprintf(stderr, "%d threads opened it, %d were refused\n", won.load(), refused.load());
  return false;
}

static bool round_of(int number) {
  const std::string names[] = {"first." + std::to_string(number),
                               "second." + std::to_string(number)};
  VDConfig config = {};
  config.deviceCount = 1;
  ClientVirtualDeviceSet set;
  bool right = one_wins([&](int which) {
    std::string name = names[which];
    return set.Create(&name[0], &config);
  });
  if (set.Close() != 0) right = false;
  // Whoever lost holds no name.
  ClientVirtualDeviceSet primaries[2];
  for (int i = 0; i < 2; ++i) {
    std::string name = names[i];
    if (primaries[i].Create(&name[0], &config) != 0) right = false;
  }
  ServerVirtualDeviceSet server;
  if (!one_wins([&](int which) { return server.Open(nullptr, names[which].c_str()); }))
    right = false;
  server.Close();
  for (ClientVirtualDeviceSet& primary : primaries)
    primary.Close();
  return right;
}

int main() {
  int wrong = 0;
  for (int number = 0; number < 300; ++number)
    wrong += round_of(number) ? 0 : 1;
  if (wrong > 0) fprintf(stderr, "%d of 300 rounds went wrong\n", wrong);
  return wrong > 0 ? 1 : 0;
}

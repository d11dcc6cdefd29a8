// tests/bench/peers_ck.cpp: Concurrency Kit's single-producer ring.
#include "pair.hpp"

#ifdef BENCH_CK
// Its header is C: it returns false where it means a null pointer.
#define false 0
extern "C" {
#include <ck_ring.h>
}
#undef false
#endif

namespace bench {

constexpr const char* ck_name = "Concurrency Kit ck_ring spsc";

#ifdef BENCH_CK

namespace {

class CkPointers {
 public:
  CkPointers() { ck_ring_init(&ring_, ring_slots); }
  bool try_put(void* pointer) { return ck_ring_enqueue_spsc(&ring_, buffer_, pointer); }
  bool try_get(void** pointer) { return ck_ring_dequeue_spsc(&ring_, buffer_, pointer); }

 private:
  alignas(64) ck_ring_t ring_;
  alignas(64) ck_ring_buffer_t buffer_[ring_slots];
};

}  // namespace

void add_ck_peers(std::vector<Peer>& all) {
  all.push_back(make_peer<RingPair<SlotRing<CkPointers>>>(ck_name, Way::polls, deep));
}

#else

void add_ck_peers(std::vector<Peer>& all) {
  all.push_back(absent_peer(ck_name, Way::polls, "libck-dev"));
}

#endif

}  // namespace bench

// tests/bench/peers_dpdk.cpp: DPDK's ring over plain shared memory, without its environment layer.
#include "pair.hpp"

#ifdef BENCH_DPDK
#include <rte_ring.h>
#endif

namespace bench {

constexpr const char* sp_name = "DPDK rte_ring SP/SC";
constexpr const char* mp_name = "DPDK rte_ring MP/MC";

#ifdef BENCH_DPDK

namespace {

template <unsigned flags>
class RtePointers {
 public:
  RtePointers() {
    if (rte_ring_init(ring(), "bench", ring_slots, flags) != 0) die("rte_ring_init");
  }
  bool try_put(void* pointer) { return rte_ring_enqueue(ring(), pointer) == 0; }
  bool try_get(void** pointer) { return rte_ring_dequeue(ring(), pointer) == 0; }

 private:
  rte_ring* ring() { return reinterpret_cast<rte_ring*>(bytes_); }
  alignas(128) char bytes_[sizeof(rte_ring) + ring_slots * sizeof(void*)];
};

using Single = RtePointers<RING_F_SP_ENQ | RING_F_SC_DEQ>;
using Multi = RtePointers<0>;

}  // namespace

void add_dpdk_peers(std::vector<Peer>& all) {
  all.push_back(make_peer<RingPair<SlotRing<Single>>>(sp_name, Way::polls, deep));
  all.push_back(make_peer<RingPair<SlotRing<Multi>>>(mp_name, Way::polls, deep));
}

#else

void add_dpdk_peers(std::vector<Peer>& all) {
  for (const char* const name : {sp_name, mp_name})
    all.push_back(absent_peer(name, Way::polls, "libdpdk-dev"));
}

#endif

}  // namespace bench

// core/core.cpp: the whole core instantiated over the production policy, so that the archive can be
// judged: freestanding, and no
// undefined symbol but std::terminate and the mem functions.
#include "core/buffer_pool.hpp"
#include "core/client_ring.hpp"
#include "core/configuration.hpp"
#include "core/doorbell.hpp"
#include "core/region.hpp"
#include "core/server_device.hpp"
#include "core/set_state.hpp"
#include "core/slot_table.hpp"

namespace vdset::core {

template class ServerRing<RealAtomics>;
template class ServerDevice<RealAtomics>;
template class ClientRing<RealAtomics>;
template class SlotTable<RealAtomics>;
template class BufferPool<RealAtomics>;
template class SetWords<RealAtomics>;
template std::uint32_t ring_bell(RealAtomics&, Word&);
template void force_bell(RealAtomics&, Word&);
template std::uint32_t arm_bell(RealAtomics&, Word&, std::uint32_t);
template void disarm_bell(RealAtomics&, Word&);
template std::uint32_t watch_bell(RealAtomics&, const Word&);
template void write_header(RealAtomics&, ServerHeader&, const Geometry&);
template Verdict judge_header(RealAtomics&, gsl::span<const std::byte>, Geometry&);
template void write_pool(RealAtomics&, PoolRow&, const PoolPlan&);
template PoolPlan read_pool(RealAtomics&, const PoolRow&);

}  // namespace vdset::core

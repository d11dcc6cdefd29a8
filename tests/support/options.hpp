// tests/support/options.hpp: structs of vdset.h, zeroed and of their size, as every caller makes
// them.
#pragma once
#include <cstdint>
#include "abi/include/vdset.h"

namespace vdset::support {

template <class T>
T sized() {
  T made{};
  made.struct_bytes = sizeof made;
  return made;
}

inline vdset_config wish_for(std::uint32_t devices) {
  auto wish = sized<vdset_config>();
  wish.device_count = devices;
  return wish;
}

/// For vdset_set_options and vdset_join_options: whoever meets, meets here.
template <class T>
T meeting_in(const char* directory) {
  auto options = sized<T>();
  options.directory = directory;
  return options;
}

/// An engine that writes blocks of a sector.
inline vdset_base_configuration writing_engine() {
  auto base = sized<vdset_base_configuration>();
  base.features = VDSET_FEATURE_WRITE_MEDIA;
  base.block_bytes = 512;
  base.max_transfer_bytes = 65536;
  return base;
}

}  // namespace vdset::support

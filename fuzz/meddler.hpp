// fuzz/meddler.hpp: an atomics policy under which a peer acts between any two steps of ours: before
// each access the input may change any word that the peer can write. It counts the accesses and
// knows the memory that we may touch.
#pragma once
#include "core/layout.hpp"
#include "core/words.hpp"
#include "fuzz/fuzz.hpp"

namespace vdset::fuzz {

struct Meddler {
  struct Range {
    core::Word* words;
    std::uint32_t count;
  };
  Input* in = nullptr;
  Range mine[4] = {};    // All that we may touch.
  Range theirs[4] = {};  // What the peer can write.
  std::uint32_t mine_count = 0, theirs_count = 0;
  std::uint64_t accesses = 0;
  std::uint32_t lap = 1;  // What a clever peer would say.

  template <class T>
  static Range range(T& of) {
    static_assert(sizeof(T) % sizeof(core::Word) == 0);
    return {reinterpret_cast<core::Word*>(&of), (sizeof(T)) / (sizeof(core::Word))};
  }
  template <class T>
  void allow(T& of, bool peer_writes) {
    mine[mine_count++] = range(of);
    if (peer_writes) theirs[theirs_count++] = range(of);
  }

  void meddle() {
    if (in == nullptr || theirs_count == 0) return;
    for (std::uint8_t choice = in->byte(); (choice & 0x80) != 0; choice = in->byte()) {
      const Range& range = theirs[choice % theirs_count];
      // Mostly the lines' first words, where the protocol is.
      std::uint32_t at = in->byte();
      at = (choice & 0x40) != 0 ? at * 16 : at;
      std::uint32_t value = 0;
      if ((choice & 0x20) != 0) {
        const std::uint8_t packed = in->byte();
        value = (packed & 7u) | (packed >> 3 & 3u) << 4 |
                ((lap + (packed >> 5) - 3) & core::generation_mask) << 12;
      } else if ((choice & 0x10) != 0) {
        value = (lap + in->byte() - 128) & core::generation_mask;
      } else {
        value = in->word();
      }
      __atomic_store_n(&range.words[at % range.count].value, value, __ATOMIC_RELAXED);
    }
  }
  void touch(const core::Word& word) {
    ++accesses;
    bool inside = false;
    for (std::uint32_t i = 0; i < mine_count; ++i) {
      const auto offset =
          reinterpret_cast<std::uintptr_t>(&word) - reinterpret_cast<std::uintptr_t>(mine[i].words);
      inside = inside || (offset < mine[i].count * sizeof(core::Word) && offset % 4 == 0);
    }
    VDSET_HOLDS(inside);
    meddle();
  }

  template <core::Site site>
  std::uint32_t load(const core::Word& word) {
    touch(word);
    return core::RealAtomics::load<site>(word);
  }
  template <core::Site site>
  void store(core::Word& word, std::uint32_t value) {
    touch(word);
    core::RealAtomics::store<site>(word, value);
  }
  template <core::Site site>
  bool compare_exchange(core::Word& word, std::uint32_t& expected, std::uint32_t desired) {
    touch(word);
    return core::RealAtomics::compare_exchange<site>(word, expected, desired);
  }
  template <core::Site site>
  std::uint32_t fetch_add(core::Word& word, std::uint32_t value) {
    touch(word);
    return core::RealAtomics::fetch_add<site>(word, value);
  }
  template <core::Site site>
  std::uint32_t fetch_or(core::Word& word, std::uint32_t value) {
    touch(word);
    return core::RealAtomics::fetch_or<site>(word, value);
  }
  template <core::Site site>
  std::uint32_t fetch_and(core::Word& word, std::uint32_t value) {
    touch(word);
    return core::RealAtomics::fetch_and<site>(word, value);
  }
  template <core::Site site>
  void fence() {
    meddle();
  }
};

}  // namespace vdset::fuzz

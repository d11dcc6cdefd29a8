// tests/hostile/scribbler.cpp: see scribbler.hpp.
#include "tests/hostile/scribbler.hpp"
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>

namespace vdset::hostile {

void Scribbler::put(Target& target, std::uint32_t offset, std::uint32_t value) {
  if (std::find(target.spared.begin(), target.spared.end(), offset) != target.spared.end()) return;
  auto* const word = reinterpret_cast<std::uint32_t*>(target.base + offset);
  const std::uint32_t tagged = scribble_tag | (value & 0xfffffu);
  __atomic_store_n(word, target.data ? tagged : value, __ATOMIC_RELAXED);
}

std::uint32_t Scribbler::get(const Target& target, std::uint32_t offset) const {
  return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(target.base + offset),
                         __ATOMIC_RELAXED);
}

/// A state, a participant and a lap or generation that could be, near those that are.
std::uint32_t Scribbler::hostile_word() {
  const std::uint32_t generation = dice_.below(4) == 0 ? dice_() : dice_.below(8);
  return dice_.below(8) | dice_.below(4) << 4 | generation << 12;
}

void Scribbler::replay(Target& target, std::uint32_t line) {
  if (dice_.below(4) == 0)
    for (std::uint32_t i = 0; i < 16; ++i)
      old_[i] = get(target, line + 4 * i);
  else
    for (std::uint32_t i = 0; i < 16; ++i)
      put(target, line + 4 * i, old_[i]);
}

bool Scribbler::cut(Target& target) {
  if (target.descriptor < 0) return true;
  const off_t page = 4096 * static_cast<off_t>(dice_.below(target.bytes / 4096 + 1));
  if (ftruncate(target.descriptor, page + 512) == 0) return false;
  if (ftruncate(target.descriptor, static_cast<off_t>(target.bytes) * 2) == 0) return false;
  if (dice_.below(16) == 0)
    fallocate(target.descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page, 4096);
  if (dice_.below(64) == 0) madvise(target.base + page, 4096, MADV_REMOVE);
  return true;
}

bool Scribbler::once() {
  Target& target = targets_[dice_.below(static_cast<std::uint32_t>(targets_.size()))];
  const std::uint32_t line = dice_.below(target.bytes / 64) * 64;
  const std::uint32_t offset = line + 4 * dice_.below(16);
  switch (damage_) {
    case Damage::random_words: put(target, offset, dice_()); break;
    case Damage::bit_flips: put(target, offset, get(target, offset) ^ 1u << dice_.below(32)); break;
    case Damage::replayed_lines: replay(target, line); break;
    case Damage::ring_indices:
      put(target, line + target.line_words[0],
          get(target, line + target.line_words[0]) + (dice_.below(9) - 4) * 4096);
      break;
    case Damage::state_words: put(target, line + target.line_words[0], hostile_word()); break;
    case Damage::huge_sizes:
      put(target, line + target.line_words[1], 0xffffffffu >> dice_.below(17));
      break;
    default: return cut(target);
  }
  return true;
}

}  // namespace vdset::hostile

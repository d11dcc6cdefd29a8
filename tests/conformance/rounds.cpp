// tests/conformance/rounds.cpp: 64 devices at once, each opened from a process of its own, through
// backups and restores (1.2, 1.4): what was written comes back, byte for byte. Three rounds, and a
// hundred with --deep.
#include <chrono>
#include <cstdlib>
#include "peer.hpp"
#include "rig.hpp"

namespace conformance {
namespace {

constexpr unsigned devices = 64;
constexpr uint32_t transfer = 65536;
constexpr unsigned writes = 6;  // For each device and round.

unsigned rounds_due() {
  if (std::getenv(deep_variable) == nullptr) return 3;
  return 100 * static_cast<unsigned>(deep_fold());
}

/// What a device holds at an offset, in a round.
uint8_t byte_at(unsigned round, unsigned device, uint64_t offset) {
  uint64_t x = (offset / 8 + 1) * 0x9e3779b97f4a7c15u ^ (round * devices + device + 1ull) << 32;
  x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
  return static_cast<uint8_t>(x >> (8 * (offset % 8)));
}

/// Sizes of Writes differ, and from those of Reads (7.6).
uint32_t size_of(unsigned round, unsigned device, unsigned write) {
  return 512 * (1 + (round * 7 + device * 5 + write * 31) % 128);
}
uint64_t total_of(unsigned round, unsigned device) {
  uint64_t total = 0;
  for (unsigned n = 0; n < writes; ++n)
    total += size_of(round, device, n);
  return total;
}

class Crew {
 public:
  explicit Crew(Context& context) : context_(context) {
    for (unsigned i = 0; i < devices; ++i)
      peers_.push_back(std::make_unique<Peer>(context));
  }

  void round(unsigned round) {
    round_ = round;
    pass(VDF_WriteMedia, "store", [this](Rig& rig) { write_all(rig); });
    pass(VDF_ReadMedia, "replay", [this](Rig& rig) { read_all(rig); });
  }
  uint64_t moved() const { return moved_; }

 private:
  /// One set, from Create to Close.
  template <class Serve>
  void pass(uint32_t direction, const std::string& verb, Serve serve) {
    Rig rig(context_, devices);
    rig.server_features = direction;
    rig.buffers = devices;
    rig.transfer = transfer;
    rig.configure();
    rig.server_devices.resize(devices);
    for (unsigned i = 0; i < devices; ++i)
      context_.need(rig.server->open_device(rig.device_name(i), rig.server_devices[i]), ok,
                    "server OpenDevice");
    rig.start_agent();
    all("join " + rig.name, ok);
    for (unsigned i = 0; i < devices; ++i)
      peers_[i]->start("open " + rig.device_name(i));
    finish_all(ok, "OpenDevice");
    for (const auto& peer : peers_)
      peer->start(verb);
    serve(rig);
    rig.terminate();
    finish_all(ok, verb);
    for (unsigned i = 0; i < devices; ++i)
      context_.equal(peers_[i]->number(0), static_cast<int64_t>(total_of(round_, i)), verb);
    all("close", ok);
    context_.code(rig.client->close(), ok, "Close");
    context_.code(rig.server->close(), ok, "server Close");
  }
  void all(const std::string& line, int code) {
    for (const auto& peer : peers_)
      peer->start(line);
    finish_all(code, line);
  }
  void finish_all(int code, const std::string& what) {
    for (const auto& peer : peers_)
      context_.need(peer->finish(), code, what);
  }

  void write_all(Rig& rig) {
    std::vector<uint64_t> offsets(devices);
    std::vector<uint8_t*> buffers;
    for (unsigned i = 0; i < devices; ++i)
      buffers.push_back(rig.allocate(transfer));
    for (unsigned n = 0; n < writes; ++n) {
      std::vector<std::unique_ptr<Sent>> sent;
      for (unsigned i = 0; i < devices; ++i) {
        const uint32_t size = size_of(round_, i, n);
        for (uint32_t b = 0; b < size; ++b)
          buffers[i][b] = byte_at(round_, i, offsets[i] + b);
        offsets[i] += size;
        moved_ += size;
        sent.push_back(
            std::make_unique<Sent>(VDC_Write, static_cast<int>(size), buffers[i]));
        rig.send(*sent.back(), i);
      }
      for (const auto& write : sent)
        context_.equal(write->wait(), 0, "Write");
    }
  }

  /// Until the end of each, which the last Read tells (7.4).
  void read_all(Rig& rig) {
    std::vector<uint64_t> offsets(devices);
    std::vector<uint8_t*> buffers;
    for (unsigned i = 0; i < devices; ++i)
      buffers.push_back(rig.allocate(transfer));
    for (bool more = true; more;) {
      more = false;
      std::vector<std::unique_ptr<Sent>> sent(devices);
      for (unsigned i = 0; i < devices; ++i) {
        if (offsets[i] == ended) continue;
        sent[i] = std::make_unique<Sent>(VDC_Read, static_cast<int>(transfer), buffers[i]);
        rig.send(*sent[i], i);
      }
      for (unsigned i = 0; i < devices; ++i) {
        if (sent[i] == nullptr) continue;
        const int code = sent[i]->wait();
        take(i, offsets[i], buffers[i], static_cast<uint32_t>(sent[i]->bytes));
        if (code != 0) {
          context_.equal(code, 38, "the end of the data");
          context_.equal(static_cast<int64_t>(offsets[i]),
                         static_cast<int64_t>(total_of(round_, i)), "all came back");
          offsets[i] = ended;
        }
        more = more || code == 0;
      }
    }
  }
  void take(unsigned device, uint64_t& offset, const uint8_t* buffer, uint32_t bytes) {
    uint32_t wrong = 0;
    for (uint32_t b = 0; b < bytes; ++b)
      wrong += buffer[b] != byte_at(round_, device, offset + b) ? 1 : 0;
    context_.equal(wrong, 0, "bytes that differ");
    offset += bytes;
    moved_ += bytes;
  }

  static constexpr uint64_t ended = ~uint64_t{0};
  Context& context_;
  std::vector<std::unique_ptr<Peer>> peers_;
  unsigned round_ = 0;
  uint64_t moved_ = 0;
};

void sixty_four_processes(Context& context) {
  const auto begun = std::chrono::steady_clock::now();
  Crew crew(context);
  const unsigned rounds = rounds_due();
  for (unsigned round = 0; round < rounds; ++round)
    crew.round(round);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  context.say(std::to_string(rounds) + " rounds of backup and restore, " +
              std::to_string(crew.moved() >> 20) + " MiB, " + std::to_string(took.count()) + " s");
  context.cover("5", "64 processes, a device each");
}

}  // namespace

std::vector<Scenario> round_scenarios() {
  return {{"64 processes", "5", sixty_four_processes}};
}

}  // namespace conformance

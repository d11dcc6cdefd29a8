// tests/conformance/media.cpp: devices that are more than pipes: tapes with marks and positions,
// disks with addresses, media that end and are exchanged (7.3 to 7.5). The client here is a small
// device in memory; the server does what a database engine would.
#include <map>
#include "rig.hpp"

namespace conformance {
namespace {

constexpr int32_t block = 512;

/// A tape: blocks and marks, each one record.
class Tape {
 public:
  struct Result {
    int code;
    uint32_t bytes;
    int64_t position;
  };
  explicit Tape(std::size_t room = 1000) : room_(room) {}

  Result serve(const Fetched& command) {
    switch (command.code) {
      case VDC_Write: return write(command);
      case VDC_Read: return read(command);
      case VDC_WriteMark: return put(std::string());
      case VDC_SkipMarks: return skip(command.size, true);
      case VDC_SkipBlocks: return skip(command.size, false);
      case VDC_Rewind: at_ = 0; return {0, 0, 0};
      case VDC_GetPosition: return {0, 0, static_cast<int64_t>(at_)};
      case VDC_SetPosition:
        at_ = static_cast<std::size_t>(command.position);
        return {0, 0, command.position};
      case VDC_Load:
        records_.clear();
        at_ = 0;
        return {0, 0, 0};
      case VDC_Flush:
      case VDC_Discard:
      case VDC_ClearError: return {0, 0, 0};
      default: return {ERROR_NOT_SUPPORTED, 0, 0};
    }
  }

 private:
  Result put(const std::string& record) {
    if (at_ >= room_) return {1129, 0, 0};
    records_.resize(at_++);
    records_.push_back(record);
    return {0, static_cast<uint32_t>(record.size()), 0};
  }
  Result write(const Fetched& command) {
    uint32_t done = 0;
    for (int32_t at = 0; at < command.size; at += block) {
      const Result one =
          put(std::string(reinterpret_cast<const char*>(command.buffer) + at, block));
      if (one.code != 0) return {one.code, done, 0};
      done += block;
    }
    return {at_ + 4 > room_ ? 1100 : 0, done, 0};  // The warning zone is four records.
  }
  Result read(const Fetched& command) {
    uint32_t done = 0;
    for (int32_t at = 0; at < command.size; at += block) {
      if (at_ >= records_.size()) return {1104, done, 0};
      const std::string& record = records_[at_++];
      if (record.empty()) return {1101, done, 0};
      std::memcpy(command.buffer + at, record.data(), block);
      done += block;
    }
    return {0, done, 0};
  }
  Result skip(int32_t count, bool marks) {
    const int step = count < 0 ? -1 : 1;
    while (count != 0) {
      if (step < 0 && at_ == 0) return {1102, 0, 0};
      if (step > 0 && at_ >= records_.size()) return {1104, 0, 0};
      if (step < 0) --at_;
      const bool mark = records_[at_].empty();
      if (step > 0) ++at_;
      if (!marks && mark) return {1101, 0, 0};
      if (marks == mark) count -= step;
    }
    return {0, 0, 0};
  }

  std::size_t room_;
  std::size_t at_ = 0;
  std::vector<std::string> records_;
};

/// The server's half of a device that answers at once.
template <class Medium>
struct Driver {
  Driver(Context& context, uint32_t features, Medium given)
      : rig(context, 1, features), medium(std::move(given)) {
    rig.server_features = VDF_WriteMedia | VDF_ReadMedia;
    rig.activate();
    buffer = rig.allocate(65536);
  }
  /// Sends, lets the medium answer, gives the completion code.
  int run(int code, int32_t size = 0, int64_t position = 0) {
    const bool moves = code == VDC_Read || code == VDC_Write;
    Sent sent(code, size, moves ? buffer : nullptr, position);
    rig.send(sent);
    const Fetched got = rig.fetch();
    const auto result = medium.serve(got);
    rig.context.code(
        rig.client_devices[0]->complete(got, result.code, result.bytes, result.position), ok,
        "CompleteCommand");
    sent.wait();
    bytes = sent.bytes;
    out_position = sent.out_position;
    return sent.completion;
  }
  /// As run(), and ClearError after a failure.
  int run_and_clear(int code, int32_t size = 0, int64_t position = 0) {
    const int result = run(code, size, position);
    const int seen = bytes;
    if (result != 0) rig.context.equal(run(VDC_ClearError), 0, "ClearError");
    bytes = seen;
    return result;
  }
  void expect(int code, int32_t size, int64_t position, int completion, const char* what) {
    rig.context.equal(run_and_clear(code, size, position), completion, what);
  }
  void fill(char c) { std::memset(buffer, c, 65536); }

  Rig rig;
  Medium medium;
  uint8_t* buffer = nullptr;
  int bytes = 0;
  int64_t out_position = 0;
};

/// Two backup sets with file marks; found again by marks, blocks and positions.
void tape(Context& context) {
  Driver<Tape> d(context, VDF_LikeTape | VDF_Discard, Tape());
  context.equal(d.rig.agreed.features & VDF_LikeTape, VDF_LikeTape, "a tape is agreed");
  for (const char set : {'a', 'b'}) {
    d.fill(set);
    d.expect(VDC_Write, 4 * block, 0, 0, "Write");
    d.expect(VDC_WriteMark, 0, 0, 0, "WriteMark");
  }
  d.expect(VDC_GetPosition, 0, 0, 0, "GetPosition");
  context.equal(d.out_position, 10, "a position after eight blocks and two marks");
  d.expect(VDC_Rewind, 0, 0, 0, "Rewind");
  d.expect(VDC_Read, 4 * block, 0, 0, "Read");
  context.equal(d.buffer[4 * block - 1], 'a', "the first set");
  d.expect(VDC_Read, block, 0, 1101, "Read meets the mark");
  context.equal(d.bytes, 0, "and gives no bytes");
  d.expect(VDC_Read, 8 * block, 0, 1101, "Read up to the next mark");
  context.equal(d.bytes, 4 * block, "what lies before it");
  context.equal(d.buffer[0], 'b', "the second set");
  d.expect(VDC_Read, block, 0, 1104, "Read after the last mark");
  d.expect(VDC_SkipMarks, -2, 0, 0, "SkipMarks backwards");
  d.expect(VDC_SkipBlocks, 2, 0, 1101, "SkipBlocks meets the mark");
  d.expect(VDC_SkipBlocks, 2, 0, 0, "SkipBlocks");
  d.expect(VDC_SkipMarks, 5, 0, 1104, "SkipMarks beyond the end");
  d.expect(VDC_SetPosition, 0, 5, 0, "SetPosition to what GetPosition gave");
  context.equal(d.out_position, 5, "the resulting position");
  d.expect(VDC_SkipMarks, -2, 0, 1102, "SkipMarks before the beginning");
  d.expect(VDC_Discard, 0, 0, 0, "Discard");
  d.expect(VDC_Snapshot, 0, 0, 50, "what the device does not support");
  d.rig.terminate();
  context.cover("7.4", "tape: marks, skips, positions");
  context.cover("7.4", "50 for what is not supported");
}

/// The tape runs into its warning zone, then its end; the next one is loaded.
void end_of_media(Context& context) {
  Driver<Tape> d(context, VDF_LikeTape, Tape(12));
  d.fill('m');
  d.expect(VDC_Write, 8 * block, 0, 0, "Write");
  d.expect(VDC_Write, block, 0, 1100, "Write into the warning zone");
  context.equal(d.bytes, block, "is stored all the same");
  d.expect(VDC_WriteMark, 0, 0, 0, "and a mark");
  d.expect(VDC_Write, 4 * block, 0, 1129, "Write over the end");
  context.equal(d.bytes, 2 * block, "tells how much was stored");
  d.expect(VDC_Load, 0, 0, 0, "Load the next medium");
  d.expect(VDC_Write, 2 * block, 0, 0, "Write the rest");
  d.rig.terminate();
  context.cover("7.5", "end of media and its warning");
  context.cover("7.5", "Load");
}

/// Pending writes at the end of media are all stored, each told by its own completion.
void pending_at_the_end(Context& context) {
  Rig rig(context, 1, VDF_Removable);
  rig.activate();
  Sent one(VDC_Write, block, rig.allocate(block)), two(VDC_Write, block, rig.allocate(block));
  rig.send(one);
  rig.send(two);
  const Fetched first = rig.fetch(), second = rig.fetch();
  context.code(rig.client_devices[0]->complete(first, 1100, block), ok, "END_OF_MEDIA");
  context.code(rig.client_devices[0]->complete(second, 1100, block), ok, "END_OF_MEDIA");
  context.equal(one.wait(), 1100, "the first");
  context.equal(two.wait(), 1100, "the second");
  context.equal(two.bytes, block, "both are stored");
  Sent clear(VDC_ClearError), load(VDC_Load), write(VDC_Write, block, one.buffer);
  rig.exchange(clear);
  rig.exchange(load);
  rig.exchange(write, 0, block);
  rig.terminate();
  context.cover("7.5", "pending writes are stored");
}

/// A disk: bytes at addresses; Flush fixes where it ends.
class Disk {
 public:
  Tape::Result serve(const Fetched& command) {
    const auto from = static_cast<std::size_t>(command.position);
    const auto size = static_cast<std::size_t>(command.size);
    switch (command.code) {
      case VDC_Write:
        if (bytes_.size() < from + size) bytes_.resize(from + size, 0);
        std::memcpy(bytes_.data() + from, command.buffer, size);
        return {0, static_cast<uint32_t>(size), 0};
      case VDC_Read: {
        const std::size_t left = from < bytes_.size() ? bytes_.size() - from : 0;
        const std::size_t count = left < size ? left : size;
        std::memcpy(command.buffer, bytes_.data() + from, count);
        return {count < size ? 38 : 0, static_cast<uint32_t>(count), 0};
      }
      case VDC_SetPosition: {
        const int64_t bases[] = {0, at_, static_cast<int64_t>(bytes_.size())};
        at_ = bases[command.size] + command.position;
        return {0, 0, at_};
      }
      case VDC_GetPosition: return {0, 0, at_};
      default: return {0, 0, 0};
    }
  }

 private:
  std::vector<char> bytes_;
  int64_t at_ = 0;
};

/// The known defect of Microsoft's Linux library: here a disk works to its end.
void run_disk(Context& context, uint32_t features) {
  Driver<Disk> d(context, features, Disk());
  context.equal(d.rig.agreed.features & features, features, "a disk is agreed");
  for (const int i : {3, 0, 2, 1}) {  // Any order: each transfer has its address.
    d.fill(static_cast<char>('0' + i));
    d.expect(VDC_Write, 8 * block, int64_t{i} * 8 * block, 0, "Write at an address");
  }
  d.fill('Z');
  d.expect(VDC_Write, block, int64_t{1} << 20, 0, "Write far away");
  d.expect(VDC_Flush, 0, 0, 0, "Flush");
  for (int i = 0; i < 4; ++i) {
    d.expect(VDC_Read, 8 * block, int64_t{i} * 8 * block, 0, "Read at an address");
    context.equal(d.buffer[8 * block - 1], '0' + i, "what was written there");
  }
  d.expect(VDC_Read, 2 * block, int64_t{1} << 20, 38, "Read at the end");
  context.equal(d.bytes, block, "what is left");
  const struct {
    int32_t whence;
    int64_t offset, result;
  } moves[] = {{VDC_Beginning, 1024, 1024},
               {VDC_Current, 512, 1536},
               {VDC_Current, -1024, 512},
               {VDC_End, -512, (1 << 20)},
               {VDC_Beginning, int64_t{1} << 40, int64_t{1} << 40}};
  for (const auto& move : moves) {
    d.expect(VDC_SetPosition, move.whence, move.offset, 0, "SetPosition");
    context.equal(d.out_position, move.result, "the resulting position");
  }
  d.expect(VDC_GetPosition, 0, 0, 0, "GetPosition");
  context.equal(d.out_position, int64_t{1} << 40, "the same position");
  if ((features & VDF_Removable) != 0) d.expect(VDC_Load, 0, 0, 0, "Load");
  d.rig.terminate();
}

void disk(Context& context) {
  run_disk(context, VDF_LikeDisk);
  context.cover("7.4", "disk: addresses and positions");
  context.cover("15", "A10 GetPosition of a disk");
}

void removable_disk(Context& context) {
  run_disk(context, VDF_LikeDisk | VDF_Removable | VDF_Discard);
  context.cover("7.4", "removable disk");
}

/// A disk's transfers overlap; addresses keep them apart.
void overlapping(Context& context) {
  Rig rig(context, 1, VDF_LikeDisk);
  rig.activate();
  std::vector<std::unique_ptr<Sent>> sent;
  std::map<int64_t, int> seen;
  for (int i = 0; i < 6; ++i) {
    sent.push_back(std::make_unique<Sent>(VDC_Write, block, rig.allocate(block), i * 1000));
    rig.send(*sent.back());
  }
  std::vector<Fetched> got;
  for (int i = 0; i < 6; ++i)
    got.push_back(rig.fetch());
  for (std::size_t i = got.size(); i-- > 0;) {
    ++seen[got[i].position];
    context.code(rig.client_devices[0]->complete(got[i], 0, block), ok, "CompleteCommand");
  }
  for (const auto& one : sent)
    context.check(one->wait() == 0 && seen[one->position] == 1, "each address once");
  rig.terminate();
  context.cover("7.6", "Reads and Writes overlap");
}

}  // namespace

std::vector<Scenario> media_scenarios() {
  return {{"a tape", "7.4", tape},
          {"the end of a tape", "7.5", end_of_media},
          {"pending at the end of media", "7.5", pending_at_the_end},
          {"a disk", "7.4", disk},
          {"a removable disk", "7.4", removable_disk},
          {"overlapping transfers", "7.6", overlapping}};
}

}  // namespace conformance

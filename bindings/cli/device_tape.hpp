// device_tape.hpp: one device's file as the storage behind commands: takes and gives bytes, and
// turns failures into Win32 completion codes for the server. Used by whichever process touches the
// file: the fetcher itself, or its worker.
#pragma once
#include <optional>

#include "arguments.hpp"
#include "control.hpp"
#include "device_file.hpp"

namespace cli {

/// What a device's file is for, as the parent tells its children.
struct TapeOptions {
  bool is_backup = false;
  bool is_resumed = false;  // Backup: the file of a process that died is continued.
  std::string path;
  DeviceFileHeader header;  // Backup: what is written at the file's start.

  static TapeOptions from(const Arguments& arguments);
  void put(Arguments& arguments) const;
};

struct TapeAnswer {
  std::int32_t completion_code = 0;
  std::uint32_t bytes = 0;
};

class DeviceTape {
 public:
  explicit DeviceTape(const TapeOptions& options);

  /// A Write's bytes, straight from the shared buffer.
  TapeAnswer write(ByteSpan bytes, bool is_redelivered);
  /// A Read's bytes, straight into the shared buffer.
  TapeAnswer read(MutableByteSpan out);
  TapeAnswer sync();
  /// No more bytes will come.
  TapeAnswer finish();

  /// The first failure behind an answer that was not a success.
  const std::optional<Failure>& failure() const { return failure_; }
  bool is_finished() const { return is_finished_; }
  void put_counts(Counts& counts) const;

 private:
  template <typename Work>
  TapeAnswer guard(std::int32_t fault_code, Work work);

  bool is_resumed_;
  bool is_finished_ = false;
  std::optional<DeviceFileWriter> writer_;
  std::optional<DeviceFileReader> reader_;
  std::optional<Failure> failure_;
};

}  // namespace cli

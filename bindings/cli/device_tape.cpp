// device_tape.cpp: commands on a device's file.
#include "device_tape.hpp"

#include <vdset.h>

namespace cli {

namespace {
constexpr std::int32_t error_crc = 23;  // Win32's "data error (cyclic redundancy check)".
}

TapeOptions TapeOptions::from(const Arguments& arguments) {
  TapeOptions options;
  options.is_backup = arguments.flag("is_backup");
  options.is_resumed = arguments.flag("is_resumed");
  options.path = arguments.text("path");
  if (!options.is_backup) return options;
  options.header.backup = parse_uuid(arguments.text("backup"));
  options.header.device_index = arguments.number_32("device");
  options.header.device_count = arguments.number_32("devices");
  options.header.codec = static_cast<Codec>(arguments.number_32("codec"));
  options.header.block_bytes = arguments.number_32("block");
  options.header.chunk_bytes_max = arguments.number_32("transfer");
  options.header.created_unix_ns = arguments.number("created");
  options.header.set_name = arguments.text("set");
  return options;
}

void TapeOptions::put(Arguments& arguments) const {
  arguments.set("is_backup", is_backup ? 1 : 0).set("is_resumed", is_resumed ? 1 : 0);
  arguments.set("path", path);
  if (!is_backup) return;
  arguments.set("backup", uuid_text(header.backup)).set("device", header.device_index);
  arguments.set("devices", header.device_count).set("block", header.block_bytes);
  arguments.set("codec", static_cast<std::uint64_t>(header.codec));
  arguments.set("transfer", header.chunk_bytes_max).set("created", header.created_unix_ns);
  arguments.set("set", header.set_name);
}

DeviceTape::DeviceTape(const TapeOptions& options) : is_resumed_(options.is_resumed) {
  if (!options.is_backup) {
    reader_.emplace(options.path);
  } else if (options.is_resumed) {
    writer_ = DeviceFileWriter::resume(options.path);
  } else {
    writer_ = DeviceFileWriter::create(options.path, options.header);
  }
}

template <typename Work>
TapeAnswer DeviceTape::guard(std::int32_t fault_code, Work work) {
  if (failure_) return {fault_code, 0};
  try {
    return work();
  } catch (const Failure& failure) {
    failure_ = failure;
    if (failure.code() == ExitCode::damaged) return {error_crc, 0};
    return {fault_code, 0};
  }
}

TapeAnswer DeviceTape::write(ByteSpan bytes, bool is_redelivered) {
  // Whatever stops a Write (a full disk first of all), the server's answer to 112 is to give up the
  // backup.
  return guard(VDSET_ERROR_DISK_FULL, [&]() -> TapeAnswer {
    if (!writer_) return {VDSET_ERROR_NOT_SUPPORTED, 0};
    if (is_resumed_ && is_redelivered) writer_->drop_redelivered(bytes);
    is_resumed_ = false;
    writer_->append(bytes);
    return {VDSET_SUCCESS, static_cast<std::uint32_t>(bytes.size())};
  });
}

TapeAnswer DeviceTape::read(MutableByteSpan out) {
  return guard(VDSET_ERROR_READ_FAULT, [&]() -> TapeAnswer {
    if (!reader_) return {VDSET_ERROR_NOT_SUPPORTED, 0};
    const auto bytes = static_cast<std::uint32_t>(reader_->read(out));
    return {bytes == out.size() ? VDSET_SUCCESS : VDSET_ERROR_HANDLE_EOF, bytes};
  });
}

TapeAnswer DeviceTape::sync() {
  return guard(VDSET_ERROR_WRITE_FAULT, [&]() -> TapeAnswer {
    if (writer_) writer_->sync();
    return {VDSET_SUCCESS, 0};
  });
}

TapeAnswer DeviceTape::finish() {
  return guard(VDSET_ERROR_WRITE_FAULT, [&]() -> TapeAnswer {
    if (writer_) writer_->finish();
    is_finished_ = true;
    return {VDSET_SUCCESS, 0};
  });
}

void DeviceTape::put_counts(Counts& counts) const {
  if (writer_) {
    counts.payload_bytes = writer_->raw_bytes();
    counts.stored_bytes = writer_->stored_bytes();
  }
  if (reader_) {
    counts.payload_bytes = reader_->raw_bytes();
    counts.stored_bytes = reader_->stored_bytes();
    counts.copied_bytes = reader_->copied_bytes();
  }
}

}  // namespace cli

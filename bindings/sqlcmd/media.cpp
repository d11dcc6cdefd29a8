// media.cpp: wrong number, wrong set, one device twice, a block size that does not fit.
#include "media.hpp"

#include <fmt/core.h>

#include <set>

#include "served_set.hpp"

namespace sqlcmd {

Description judge_media(const Request& request, std::span<const cli::DeviceDescription> devices,
                        bool needs_all) {
  const cli::BlockHeader& first = devices.front().header;
  Description description;
  std::set<std::uint32_t> indexes;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const cli::BlockHeader& header = devices[i].header;
    const std::string& device = request.devices[i];
    if (!decode_description(devices[i].payload, description)) {
      throw Refusal(number::bad_family,
                    fmt::format("What comes from '{}' does not say what it is.", device));
    }
    if (header.backup != first.backup || header.device_count != first.device_count) {
      throw Refusal(number::unrelated_family,
                    fmt::format("What comes from '{}' belongs to another backup than '{}'.", device,
                                request.devices.front()));
    }
    if (!indexes.insert(header.device_index).second) {
      throw Refusal(number::doubled_family,
                    fmt::format("'{}' brings part {} of the backup, which another device has "
                                "brought already.",
                                device, header.device_index + 1));
    }
  }
  if (needs_all && devices.size() != first.device_count) {
    throw Refusal(number::wrong_family_count,
                  fmt::format("The backup has {} parts, {} are here: name one virtual device for "
                              "each.",
                              first.device_count, devices.size()));
  }
  if (needs_all && request.block_bytes > first.block_bytes) {
    throw Refusal(number::other_block_size,
                  fmt::format("The backup was made with BLOCKSIZE = {}: use that, not {}.",
                              first.block_bytes, request.block_bytes));
  }
  return description;
}

void run_described(cli::RestoreJob& job, cli::EngineObserver& observer) {
  std::optional<Refusal> refusal;
  const auto on_described = std::move(job.on_described);
  job.on_described = [&](std::span<const cli::DeviceDescription> devices) {
    try {
      return on_described(devices);
    } catch (const Refusal& refused) {
      refusal = refused;
      throw cli::Failure(cli::ExitCode::bad_input, refused.what());
    }
  };
  try {
    cli::serve_restore(job, observer);
  } catch (const cli::Failure&) {
    if (refusal) throw *refusal;
    throw;
  }
}

}  // namespace sqlcmd

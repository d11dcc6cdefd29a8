// pipeline.hpp: the command loop of a fetcher that lets a worker process do the work. Several
// commands are under way at once; each is completed when the worker has answered for its handle.
#pragma once
#include <vdset.h>

#include <string>

#include "agent.hpp"

namespace cli {

Counts serve_through_worker(vdset_set* set, vdset_device* device, const DeviceTask& task);

/// Throws: the server closed the device too early.
[[noreturn]] void fail_unfinished(const std::string& device_name);

}  // namespace cli

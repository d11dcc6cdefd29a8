// media.hpp: the devices of a RESTORE, judged by what their first blocks say.
#pragma once
#include <span>

#include "cli/engine_restore.hpp"
#include "description.hpp"
#include "request.hpp"

namespace sqlcmd {

/// The common description of the devices; throws Refusal when they do not belong together, or, with
/// `needs_all`, when some are missing.
Description judge_media(const Request& request, std::span<const cli::DeviceDescription> devices,
                        bool needs_all);

/// cli::serve_restore, but a Refusal that on_described throws comes out as it went in: the engine's
/// threads know nothing of refusals.
void run_described(cli::RestoreJob& job, cli::EngineObserver& observer);

}  // namespace sqlcmd

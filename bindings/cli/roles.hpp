// roles.hpp: what the child processes of vdset do; main.cpp chooses by the hidden subcommand.
#pragma once
#include <functional>

#include "arguments.hpp"
#include "control.hpp"

namespace cli {

int run_engine_backup(const Arguments& arguments);
int run_engine_restore(const Arguments& arguments);
/// Opens one device of the set in this process and serves it.
int run_secondary(const Arguments& arguments);
/// Joins the set, opens no device, and works on buffers whose handles come over the link.
int run_worker(const Arguments& arguments);

/// Runs a child's body, tells the parent of a failure, and returns the exit code. After a failure
/// the child's own file goes, unless another process may continue it.
int run_child_role(const std::function<void(ControlSender&)>& body, bool keeps_file = false);

}  // namespace cli

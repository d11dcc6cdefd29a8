// report.hpp: the end of a backup or restore, for people or as one JSON object.
#pragma once
#include <string>

#include "codec.hpp"
#include "conductor.hpp"

namespace cli {

struct ReportFrame {
  const char* command = "";
  std::string database;
  std::string directory;
  Codec codec = Codec::none;
  bool wants_json = false;
};

/// Prints to stdout; throws Failure when that cannot be written to.
void print_report(const ReportFrame& frame, const ConductorPlan& plan, const RunReport& report);

}  // namespace cli

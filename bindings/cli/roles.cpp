// roles.cpp: the frame around every child's work.
#include "roles.hpp"

#include <exception>

namespace cli {

int run_child_role(const std::function<void(ControlSender&)>& body) {
  ControlSender control(control_descriptor);
  try {
    body(control);
    return static_cast<int>(ExitCode::ok);
  } catch (const Failure& failure) {
    control.failure(failure);
    return static_cast<int>(failure.code());
  } catch (const std::exception& error) {
    const Failure failure(ExitCode::internal, std::string("unexpected: vdset; ") + error.what());
    control.failure(failure);
    return static_cast<int>(failure.code());
  }
}

}  // namespace cli

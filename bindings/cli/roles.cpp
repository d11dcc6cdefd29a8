// roles.cpp: the frame around every child's work.
#include "roles.hpp"

#include <exception>

#include "child.hpp"

namespace cli {

int run_child_role(const std::function<void(ControlSender&)>& body, bool keeps_file) {
  ControlSender control(control_descriptor);
  const auto end = [&](const Failure& failure) {
    if (!keeps_file) remove_own_file();
    control.failure(failure);
    return static_cast<int>(failure.code());
  };
  try {
    body(control);
    return static_cast<int>(ExitCode::ok);
  } catch (const Failure& failure) {
    return end(failure);
  } catch (const std::exception& error) {
    return end(Failure(ExitCode::internal, std::string("unexpected: vdset; ") + error.what()));
  }
}

}  // namespace cli

// tsql_options.hpp: the table of WITH options.
#pragma once
#include <string_view>

#include "tsql.hpp"

namespace sqlcmd {

/// NULL when nobody knows this name (upper case).
const OptionSpec* find_option(std::string_view upper_name);

}  // namespace sqlcmd

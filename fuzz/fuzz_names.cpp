// fuzz/fuzz_names.cpp: any bytes as the name of a set or device, with a length and with a
// terminator. Oracle: the rule of docs/rendezvous.md ("Names") written down again; node names are
// files of one directory whatever the name says.
#include <string>
#include "abi/include/vdset.h"
#include "abi/names.hpp"
#include "fuzz/fuzz.hpp"

using namespace vdset;

namespace {

bool is_name(const std::string& bytes) {
  return !bytes.empty() && bytes.size() <= 255 && bytes.find('\0') == std::string::npos &&
         bytes.find('\\') == std::string::npos;
}

}  // namespace

static vdset::fuzz::Goal good_name("a name that is accepted");

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  Name name;
  VDSET_HOLDS(read_name(bytes.data(), bytes.size(), name) == is_name(bytes));
  const std::string text = bytes.c_str();  // Up to the first NUL.
  Name judged;
  const std::int32_t result = judge_name(text.c_str(), "set", judged);
  VDSET_HOLDS(result == (is_name(text) ? VDSET_OK : VDSET_E_INVALID));
  if (result != VDSET_OK) return 0;
  good_name.reach();
  VDSET_HOLDS(judged.bytes == text.size() && text == judged.text);
  const std::string stem = stem_of(judged).text;
  VDSET_HOLDS(stem.size() == 35 && stem.compare(0, 3, "v1-") == 0);
  VDSET_HOLDS(stem.find_first_not_of("0123456789abcdef", 3) == std::string::npos);
  VDSET_HOLDS(stem == stem_of(judged).text);
  // One changed byte is another name, and another node.
  Name other = judged;
  other.text[0] = static_cast<char>(other.text[0] ^ 1);
  VDSET_HOLDS(!(other == judged) && stem != stem_of(other).text);
  return 0;
}

#!/usr/bin/env python3
"""The ABI gate: what libvdset.so and libsqlvdi.so promise to programs that were built before.

usage: gate.py compare|accept|self-test BUILD_DIRECTORY

Three things of each library are compared with the baseline that is checked in beside this file:
  NAME.symbols  its exports, each with its node, as nm sees them in the built library
  NAME.abi      libabigail's picture of its types and calls: of a stand-in that is generated from
                the public header, compiled with debug information. The compiler holds the library
                to the same header; what is private never enters the picture.
  NAME.tsv      constants and codes, for vdset.h also sizes and offsets (tests/parity)

`accept` makes today's state the baseline; do so only as the message of `compare` says. `self-test`
plants changes in copies and expects each to be found. The last line is `N passed, N failed`.
"""
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "parity"))
from vdset_header import parse  # noqa: E402

REMEDY = """  What was built against the baseline would break or misread. Put it back, or:
  - a new meaning or signature: a new call or struct beside the old one, the call in a new node of
    the symbol map (VDSET_0.N, with the next minor version in vdset.h and meson.build)
  - a field added at the end of a struct that begins with struct_bytes: allowed; run
    `python3 tests/abi/gate.py accept build` and commit the new baseline
  - if nothing else will do: raise the soversion, rename the Debian packages, write down why
  docs/abi.md has the rules."""
ADDED = """  Only additions: allowed. If the newest node of the map is released, open a new one.
  Then `python3 tests/abi/gate.py accept build`, and commit the new baseline."""
ABIDW = ["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs",
         "--drop-private-types", "--load-all-types"]


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def symbols_of(library):
    out = run("nm", "-D", "--defined-only", library)
    return sorted(name for kind, name in re.findall(r"^\w* ([A-Z]) (\S+)$", out, re.M)
                  if kind != "A")


class Vdset:
    """libvdset.so: one C header, a symbol map with nodes."""
    name = "libvdset"
    library = "abi/libvdset.so"

    def __init__(self, include=ROOT / "abi/include", symbol_map=ROOT / "abi/vdset.map"):
        self.include, self.map = include, symbol_map

    def stand_in(self, folder):
        header = parse(self.include / "vdset.h")
        body = "".join(f"{call.result} {call.name}({', '.join(call.arguments) or 'void'})"
                       " { __builtin_trap(); }\n" for call in header.calls)
        source = folder / "stand_in.c"
        source.write_text("#include <vdset.h>\n" + body, encoding="utf-8")
        run("gcc", "-std=c99", "-g", "-fPIC", "-shared", "-fno-eliminate-unused-debug-types", "-w",
            f"-I{self.include}", f"-Wl,--version-script={self.map}", "-Wl,-soname,libvdset.so.0",
            source.name, "-o", folder / "stand_in.so", cwd=folder)
        return folder / "stand_in.so"

    def table(self, folder):
        source = run(sys.executable, HERE.parent / "parity/make_table.py",
                     self.include / "vdset.h", self.map)
        (folder / "table.c").write_text(source, encoding="utf-8")
        run("gcc", "-std=c11", "-DWITHOUT_LIBRARY", f"-I{self.include}", folder / "table.c", "-o",
            folder / "table")
        return run(folder / "table").splitlines()


class Sqlvdi:
    """libsqlvdi.so: classes in C++ headers, no versions."""
    name = "libsqlvdi"
    library = "bindings/vdi/libsqlvdi.so"

    def __init__(self, include=ROOT / "bindings/vdi/include/sqlvdi"):
        self.include = include

    def stand_in(self, folder):
        """Bodies for every function and method that the two headers declare."""
        bodies = []
        for header in ("vdi.h", "vdi_server.h"):
            text = (self.include / header).read_text(encoding="utf-8")
            text = re.sub(r"/\*.*?\*/|^[ \t]*#[^\n]*", " ", text, flags=re.S | re.M)
            for name, body in re.findall(r"class (\w+) \{\s*public:(.*?)private:", text, re.S):
                bodies += [self.body(name + "::", word) for word in body.split(";") if word.strip()]
            bodies += [self.body("", word) for word in re.findall(r"^int \w+\([^;{]*\)(?=;)", text,
                                                                  re.M)]
        source = folder / "stand_in.cpp"
        source.write_text('#include "vdi.h"\n#include "vdierror.h"\n#include "vdi_server.h"\n'
                          + "\n".join(bodies), encoding="utf-8")
        run("g++", "-std=c++11", "-g", "-fPIC", "-shared", "-fno-eliminate-unused-debug-types",
            "-w", f"-I{self.include}", "-Wl,-soname,libsqlvdi.so", source.name, "-o",
            folder / "stand_in.so", cwd=folder)
        return folder / "stand_in.so"

    @staticmethod
    def body(scope, declaration):
        declaration = " ".join(declaration.split())
        return re.sub(r"(~?\w+)\(", scope + r"\1(", declaration, count=1) + \
            " { __builtin_trap(); }"

    def table(self, folder):
        """Every enumerator and numeric macro."""
        names = []
        for header in ("vdi.h", "vdierror.h", "vdi_server.h"):
            text = (self.include / header).read_text(encoding="utf-8")
            text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
            names += re.findall(r"^#define (\w+)[ \t]+\S", text, re.M)
            for body in re.findall(r"enum \w+ \{(.*?)\}", text, re.S):
                names += re.findall(r"\b(\w+) =", body)
        lines = "".join(f'  printf("constant\\t{name}\\t%lld\\n", (long long)({name}));\n'
                        for name in names)
        source = folder / "table.cpp"
        source.write_text('#include "vdi.h"\n#include "vdierror.h"\n#include "vdi_server.h"\n'
                          "#include <cstdio>\nint main() {\n" + lines + "}\n", encoding="utf-8")
        run("g++", "-std=c++11", "-w", f"-I{self.include}", source, "-o", folder / "table")
        return run(folder / "table").splitlines()


def picture(face, folder):
    out = folder / "now.abi"
    run(*ABIDW, "--headers-dir", face.include, "--out-file", out, face.stand_in(folder))
    return out


def difference(baseline, now):
    """(what is gone or changed, what was added) of two lists of lines."""
    return sorted(set(baseline) - set(now)), sorted(set(now) - set(baseline))


def compare_pictures(baseline, now):
    """None, or (broken, words)."""
    done = subprocess.run(["abidiff", "--no-show-locs", baseline, now], capture_output=True,
                          text=True, check=False)
    if done.returncode & 3 or (done.returncode & 4 and not done.stdout):
        sys.exit(f"abidiff: {done.stdout}{done.stderr}")
    if done.returncode == 0:
        return None
    gone = re.search(r"\d+ Removed, [1-9]\d* Changed|[1-9]\d* Removed", done.stdout)
    words = done.stdout.splitlines()
    only_added = not gone and not re.search(r"\b[1-9]\d* Changed", done.stdout) and \
        "changed" not in done.stdout.split("\n\n", 1)[-1]
    return not only_added, words


def findings(face, library, folder):
    """Differences from the baseline: a list of (broken, where, words)."""
    out = []
    for what, now in (("symbols", symbols_of(library)), ("tsv", face.table(folder))):
        baseline = (HERE / f"{face.name}.{what}").read_text(encoding="utf-8").splitlines()
        gone, added = difference(baseline, now)
        if what == "tsv":  # The version moves with every release.
            gone, added = ([row for row in rows if "VDSET_VERSION_" not in row]
                           for rows in (gone, added))
        if gone or added:
            out.append((bool(gone), f"{face.name}: {what}",
                        [f"- {row}" for row in gone] + [f"+ {row}" for row in added]))
    if platform.machine() != "x86_64":
        return out  # Of which the picture is; the lists are those of every 64-bit system.
    found = compare_pictures(HERE / f"{face.name}.abi", picture(face, folder))
    if found:
        out.append((found[0], f"{face.name}: types and calls", found[1]))
    return out


def compare(build):
    passed = failed = 0
    for face in (Vdset(), Sqlvdi()):
        with tempfile.TemporaryDirectory() as folder:
            found = findings(face, build / face.library, Path(folder))
        for broken, where, words in found:
            print(f"{where} differ from the baseline in tests/abi:")
            print("\n".join("  " + word for word in words))
            print(REMEDY if broken else ADDED)
        failed += len(found)
        passed += not found
    return passed, failed


def accept(build):
    for face in (Vdset(), Sqlvdi()):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            symbols = symbols_of(build / face.library)
            table = face.table(folder)
            text = picture(face, folder).read_text(encoding="utf-8")
        (HERE / f"{face.name}.abi").write_text(text, encoding="utf-8")
        (HERE / f"{face.name}.symbols").write_text("\n".join(symbols) + "\n", encoding="utf-8")
        (HERE / f"{face.name}.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")
    return 2, 0


# What is planted: a name, the file, a pattern, its replacement, and whether it breaks.
VDSET_PLANTS = [
    ("a field is moved", "vdset.h", r"(  uint32_t code;[^\n]*\n)(  int32_t size;[^\n]*\n)",
     r"\2\1", True),
    ("a field grows", "vdset.h", r"  int32_t bytes_transferred;", "  int64_t bytes_transferred;",
     True),
    ("a field is added at the end", "vdset.h", r"(  uint32_t max_transfer_bytes;  /\* multiple)",
     r"  uint32_t more;\n\1", True),
    ("an argument changes its type", "vdset.h",
     r"(vdset_device_get_command\(vdset_device \*device, )int64_t", r"\1int32_t", True),
    ("a call is removed", "vdset.h",
     r"VDSET_API int32_t vdset_device_interrupt\(vdset_device \*device\);", "", True),
    ("a result code gets another number", "vdset.h", r"-2139684861", "-2139684761", True),
    ("a call moves to another node", "vdset.map",
     r"    vdset_device_interrupt;\n(.*)    vdset_device_arm;",
     r"\1    vdset_device_arm;\n    vdset_device_interrupt;", True),
    ("a call is added", "vdset.h", r"/\* VDI Close\. Frees",
     "/* New. */\nVDSET_API int32_t vdset_supports_more(void);\n\n/* VDI Close. Frees", False),
    ("nothing changes", "vdset.h", r"$", "", None),
]
SQLVDI_PLANTS = [
    ("a member grows", "vdi.h", r"  int32_t bytesTransferred;", "  int64_t bytesTransferred;",
     True),
    ("a method changes its arguments", "vdi.h", r"GetConfiguration\(time_t timeOut",
     "GetConfiguration(int timeOut", True),
    ("a method is removed", "vdi_server.h", r"  int SignalAbort\(\);\n", "", True),
    ("a class gets a member", "vdi.h", r"(  CVD\* cvd;)", r"\1\n  int more;", True),
    ("a code gets another number", "vdi.h", r"VDC_Read = 1,", "VDC_Read = 21,", True),
    ("nothing changes", "vdi.h", r"$", "", None),
]


def plant(files, name, pattern, replacement, folder):
    for path in files:
        text = path.read_text(encoding="utf-8")
        if path.name == name:
            changed = re.sub(pattern, replacement, text, count=1, flags=re.S)
            if changed == text and pattern != "$":
                sys.exit(f"self-test: nothing to plant in {name}: {pattern}")
            text = changed
        (folder / path.name).write_text(text, encoding="utf-8")


def names_no_place(face):
    """A picture is the same wherever it is drawn, and that is nowhere in it."""
    texts = set()
    for _ in range(2):
        with tempfile.TemporaryDirectory() as name:
            texts.add(picture(face, Path(name)).read_text(encoding="utf-8"))
    return len(texts) == 1 and "path='/" not in texts.pop()


def self_test(_):
    """Each library is played by its own stand-in, so that nothing of the project is rebuilt."""
    passed = failed = 0
    for face, plants in ((Vdset(), VDSET_PLANTS), (Sqlvdi(), SQLVDI_PLANTS)):
        good = names_no_place(face)
        passed += good
        failed += not good
        if not good:
            print(f"FAILED: {face.name}: its picture tells where it was drawn")
        files = list(face.include.glob("*.h")) + ([face.map] if hasattr(face, "map") else [])
        for what, name, pattern, replacement, breaks in plants:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                plant(files, name, pattern, replacement, folder)
                if face.name == "libvdset":
                    planted = Vdset(folder, folder / "vdset.map")
                    text = planted.map.read_text(encoding="utf-8")
                    if what == "a call is added":
                        planted.map.write_text(text.replace(
                            "    vdset_supports;", "    vdset_supports;\n    vdset_supports_more;"),
                            encoding="utf-8")
                else:
                    planted = Sqlvdi(folder)
                found = findings(planted, planted.stand_in(folder), folder)
            good = bool(found) == (breaks is not None) and \
                any(broken for broken, _, _ in found) == bool(breaks)
            passed += good
            failed += not good
            if not good:
                print(f"FAILED: {face.name}: {what}: {found}")
    return passed, failed


def main():
    verb = {"compare": compare, "accept": accept, "self-test": self_test}[sys.argv[1]]
    passed, failed = verb(Path(sys.argv[2]).resolve())
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


sys.exit(main())

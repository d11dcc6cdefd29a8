# Sourced by the tests here that run unmodified VDI clients (tests/vdi) against an installed tree.
# Takes TESTS_VDI_DIRECTORY BUILD_DIRECTORY; makes $scratch, and $prefix once install_tree has run.
clients=$1
build=$2
. "$clients/../../.ci/check.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -m 700 "$scratch/rendezvous"
mkdir "$scratch/databases"
export VDSET_RUNTIME_DIR=$scratch/rendezvous VDSET_DATABASES=$scratch/databases
unset LD_LIBRARY_PATH VDSET_VDI_GETCOMMAND_UNIT VDSET_VDI_DIAGNOSTICS
prefix=$scratch/moved
vendor_flags=(-luuid -lrt -lpthread -lsqlvdi)

install_tree() {
  DESTDIR=$scratch/stage meson install -C "$build" --no-rebuild --quiet &&
    mv "$(dirname "$(dirname "$(find "$scratch/stage" -name libsqlvdi.so)")")" "$prefix"
}

compile_client() {
  g++ -std=c++11 -I"$prefix/include/sqlvdi" "$clients/$1.cpp" -o "$scratch/$1" \
    -L"$prefix/lib" "${vendor_flags[@]}"
}

make_database() {  # make_database NAME JOURNAL ROWS
  sqlite3 "$VDSET_DATABASES/$1.db" "pragma journal_mode=$2;
    create table t(a integer primary key, b blob, c text);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < $3)
    insert into t select i, randomblob(200 + i % 900), hex(zeroblob(i % 300)) from n;
    create index x on t(c);"
}

same_content() {
  [[ $(sqlite3 "$1" .sha3sum) == "$(sqlite3 "$2" .sha3sum)" ]] &&
    [[ $(sqlite3 "$2" 'pragma integrity_check') == ok ]]
}

# What a client hands to popen: a shell function whose last argument is the set's name, which the
# client appends. The other devices have that name and a number.
statement() {  # statement VERB_AND_DATABASE TO|FROM DEVICES OPTIONS SQLCMD_WORDS...
  local verb=$1 direction=$2 devices=$3 options=$4
  shift 4
  cat <<END
statement() {
  devices="VIRTUAL_DEVICE = '\$1'"
  for i in \$(seq 1 $((devices - 1))); do devices="\$devices, VIRTUAL_DEVICE = N'\$1\$i'"; done
  $* "$verb $direction \$devices WITH $options"
}
statement
END
}

# The client's command line, as $words.
words_of() {  # words_of CLIENT DEVICES STATEMENT B|R FILE_PREFIX
  words=("$scratch/$1" "$2" "$5" "$3")
  [[ $1 != published_client ]] || words=("$scratch/$1" "$4" "$5" "$3")
}

said=$scratch/said
carry() {  # The same arguments: runs it, with what it and sqlcmd say in $said.
  words_of "$@"
  LD_LIBRARY_PATH=$prefix/lib timeout 60 "${words[@]}" >"$said" 2>&1
}

# cases_damage.sh: one changed bit anywhere, or a missing end, is found, and the old file stays.
# Sourced by test_cli.sh.

# damage NAME FILE: FILE in the directory bk has been damaged; puts the whole one back afterwards.
damage() {
  refused "$1: verify" 4 "$2" verify bk
  cp small.db old.db
  run restore bk --to old.db --quiet >out.txt 2>err.txt
  local code=$?
  check "$1: restore fails" is_equal $code 4
  check "$1: the old file stays, and nothing else" test \
    "$(cmp small.db old.db && echo same)$(temporaries)" = same0
  cp whole/"$2" bk/"$2"
}

for codec in none zstd; do
  rm -rf bk whole
  run backup large.db --to bk --devices 2 --block-size 4K --max-transfer-size 64K \
    --compress $codec --quiet >/dev/null 2>&1
  cp -r bk whole
  file=device-1.vdset
  end=$(file_bytes bk/$file)
  # File header 0..511, first frame 512..559, then the block: its header 128 bytes when stored as it
  # is.
  for place in "magic 0" "version 8" "identity 20" "codec 40" "reserved 60" "set name 80" \
      "header checksum 508" "frame magic 512" "frame codec 516" "raw length 520" \
      "stored length 524" "ordinal 528" "raw checksum 536" "stored checksum 544" "chain 559" \
      "block header 600" "payload 2000" "middle $((end / 2))" "last chunk $((end - 60))" \
      "trailer magic $((end - 48))" "trailer count $((end - 32))" \
      "trailer total $((end - 20))" "last byte $((end - 1))"; do
    flip bk/$file "${place##* }"
    damage "one bit, $codec, ${place% *}" $file
  done
  for length in 0 7 300 512 540 600 $((end / 2)) $((end - 48)) $((end - 1)); do
    truncate -s $length bk/$file
    damage "cut to $length bytes, $codec" $file
  done
  printf x >> bk/$file
  damage "one byte too many, $codec" $file
done

# Damage that the file's own checksums cannot see, because a chunk was taken out whole: the stream's
# order does.
rm -rf bk
run backup large.db --to bk --block-size 4K --max-transfer-size 64K --quiet >/dev/null 2>&1
head -c 512 bk/device-0.vdset > spliced
tail -c +$((512 + 48 + 65536 + 1)) bk/device-0.vdset >> spliced
cp spliced bk/device-0.vdset
refused "a chunk taken out: verify" 4 "device-0.vdset" verify bk
refused "a chunk taken out: restore" 4 "device-0.vdset" restore bk --to new3.db
check "a chunk taken out: no target" test ! -e new3.db

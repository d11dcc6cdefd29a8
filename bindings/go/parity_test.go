package vdset

import (
	"bufio"
	"debug/elf"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What this package makes of the header's constants.
var constantsHere = map[string]int64{
	"VDSET_VERSION_MAJOR":             int64(VersionMajor),
	"VDSET_VERSION_MINOR":             int64(VersionMinor),
	"VDSET_VERSION_PATCH":             int64(VersionPatch),
	"VDSET_LAYOUT_VERSION":            int64(LayoutVersion),
	"VDSET_SUPPORT_DESCRIPTORS":       int64(SupportDescriptors),
	"VDSET_SUPPORT_ALLOCATOR":         int64(SupportAllocator),
	"VDSET_SUPPORT_LOG":               int64(SupportLog),
	"VDSET_SUPPORT_WAIT_MANY":         int64(SupportWaitMany),
	"VDSET_SUPPORT_PEER_PIDFD":        int64(SupportPeerPidfd),
	"VDSET_SUPPORT_SEAL_WRITERS":      int64(SupportSealWriters),
	"VDSET_LOG_OFF":                   int64(LogOff),
	"VDSET_LOG_ERROR":                 int64(LogError),
	"VDSET_LOG_WARNING":               int64(LogWarning),
	"VDSET_LOG_INFO":                  int64(LogInfo),
	"VDSET_LOG_DEBUG":                 int64(LogDebug),
	"VDSET_E_NOTOPEN":                 int64(ErrNotOpen),
	"VDSET_E_TIMEOUT":                 int64(ErrTimeout),
	"VDSET_E_ABORT":                   int64(ErrAbort),
	"VDSET_E_SECURITY":                int64(ErrSecurity),
	"VDSET_E_INVALID":                 int64(ErrInvalid),
	"VDSET_E_INSTANCE_NAME":           int64(ErrInstanceName),
	"VDSET_E_NOTSUPPORTED":            int64(ErrNotSupported),
	"VDSET_E_MEMORY":                  int64(ErrMemory),
	"VDSET_E_UNEXPECTED":              int64(ErrUnexpected),
	"VDSET_E_PROTOCOL":                int64(ErrProtocol),
	"VDSET_E_OPEN":                    int64(ErrOpen),
	"VDSET_E_CLOSE":                   int64(ErrClose),
	"VDSET_E_BUSY":                    int64(ErrBusy),
	"VDSET_E_QUEUE_FULL":              int64(ErrQueueFull),
	"VDSET_E_IO_ERROR":                int64(ErrIOError),
	"VDSET_E_INTERRUPTED":             int64(ErrInterrupted),
	"VDSET_COMMAND_READ":              int64(CommandRead),
	"VDSET_COMMAND_WRITE":             int64(CommandWrite),
	"VDSET_COMMAND_CLEAR_ERROR":       int64(CommandClearError),
	"VDSET_COMMAND_REWIND":            int64(CommandRewind),
	"VDSET_COMMAND_WRITE_MARK":        int64(CommandWriteMark),
	"VDSET_COMMAND_SKIP_MARKS":        int64(CommandSkipMarks),
	"VDSET_COMMAND_SKIP_BLOCKS":       int64(CommandSkipBlocks),
	"VDSET_COMMAND_LOAD":              int64(CommandLoad),
	"VDSET_COMMAND_GET_POSITION":      int64(CommandGetPosition),
	"VDSET_COMMAND_SET_POSITION":      int64(CommandSetPosition),
	"VDSET_COMMAND_DISCARD":           int64(CommandDiscard),
	"VDSET_COMMAND_FLUSH":             int64(CommandFlush),
	"VDSET_COMMAND_SNAPSHOT":          int64(CommandSnapshot),
	"VDSET_COMMAND_MOUNT_SNAPSHOT":    int64(CommandMountSnapshot),
	"VDSET_COMMAND_PREPARE_TO_FREEZE": int64(CommandPrepareToFreeze),
	"VDSET_COMMAND_FILE_INFO_BEGIN":   int64(CommandFileInfoBegin),
	"VDSET_COMMAND_FILE_INFO_END":     int64(CommandFileInfoEnd),
	"VDSET_COMMAND_GET_ERROR":         int64(CommandGetError),
	"VDSET_COMMAND_COMPLETE":          int64(CommandComplete),
	"VDSET_SUCCESS":                   int64(Success),
	"VDSET_COMMAND_REDELIVERED":       redelivered,
	"VDSET_ERROR_INVALID_HANDLE":      int64(InvalidHandle),
	"VDSET_ERROR_ARENA_TRASHED":       int64(ArenaTrashed),
	"VDSET_ERROR_BAD_ENVIRONMENT":     int64(BadEnvironment),
	"VDSET_ERROR_WRITE_FAULT":         int64(WriteFault),
	"VDSET_ERROR_READ_FAULT":          int64(ReadFault),
	"VDSET_ERROR_HANDLE_EOF":          int64(HandleEOF),
	"VDSET_ERROR_HANDLE_DISK_FULL":    int64(HandleDiskFull),
	"VDSET_ERROR_NOT_SUPPORTED":       int64(CommandNotSupported),
	"VDSET_ERROR_DISK_FULL":           int64(DiskFull),
	"VDSET_ERROR_OPERATION_ABORTED":   int64(OperationAborted),
	"VDSET_ERROR_END_OF_MEDIA":        int64(EndOfMedia),
	"VDSET_ERROR_FILEMARK_DETECTED":   int64(FilemarkDetected),
	"VDSET_ERROR_BEGINNING_OF_MEDIA":  int64(BeginningOfMedia),
	"VDSET_ERROR_NO_DATA_DETECTED":    int64(NoDataDetected),
	"VDSET_ERROR_IO_DEVICE":           int64(IODevice),
	"VDSET_ERROR_EOM_OVERFLOW":        int64(EOMOverflow),
	"VDSET_ERROR_NO_SYSTEM_RESOURCES": int64(NoSystemResources),
	"VDSET_FEATURE_LIKE_PIPE":         int64(LikePipe),
	"VDSET_FEATURE_REMOVABLE":         int64(Removable),
	"VDSET_FEATURE_REWIND":            int64(Rewind),
	"VDSET_FEATURE_POSITION":          int64(Position),
	"VDSET_FEATURE_SKIP_BLOCKS":       int64(SkipBlocks),
	"VDSET_FEATURE_REVERSE_POSITION":  int64(ReversePosition),
	"VDSET_FEATURE_DISCARD":           int64(Discard),
	"VDSET_FEATURE_FILE_MARKS":        int64(FileMarks),
	"VDSET_FEATURE_RANDOM_ACCESS":     int64(RandomAccess),
	"VDSET_FEATURE_SNAPSHOT_PREPARE":  int64(SnapshotPrepare),
	"VDSET_FEATURE_REQUEST_COMPLETE":  int64(RequestComplete),
	"VDSET_FEATURE_WRITE_MEDIA":       int64(WriteMedia),
	"VDSET_FEATURE_READ_MEDIA":        int64(ReadMedia),
	"VDSET_FEATURE_COMPLETE_ENABLED":  int64(CompleteEnabled),
	"VDSET_FEATURE_LIKE_TAPE":         int64(LikeTape),
	"VDSET_FEATURE_LIKE_DISK":         int64(LikeDisk),
	"VDSET_DEVICES_MAX":               int64(DevicesMax),
	"VDSET_NAME_BYTES_MAX":            int64(NameBytesMax),
	"VDSET_NAME_TEXT_BYTES":           int64(NameTextBytes),
	"VDSET_POOLS_MAX":                 int64(PoolsMax),
	"VDSET_BUFFERS_MAX":               int64(BuffersMax),
	"VDSET_QUEUE_DEPTH_MAX":           int64(QueueDepthMax),
	"VDSET_PARTICIPANTS_MAX":          int64(ParticipantsMax),
	"VDSET_PREFIX_BYTES_MAX":          int64(PrefixBytesMax),
	"VDSET_TRANSFER_BYTES_MAX":        int64(TransferBytesMax),
	"VDSET_REASON_BYTES_MAX":          int64(ReasonBytesMax),
	"VDSET_HANDLES_LEASE":             int64(HandlesLease),
	"VDSET_HANDLES_BUFFER":            int64(HandlesBuffer),
	"VDSET_DEATH_FAILS_COMMANDS":      int64(DeathFailsCommands),
	"VDSET_DEATH_HANDS_OVER":          int64(DeathHandsOver),
	"VDSET_CALL_NONE":                 int64(AbortNone),
	"VDSET_CALL_SIGNAL_ABORT":         int64(AbortSignalled),
	"VDSET_CALL_CLOSE":                int64(AbortClosed),
	"VDSET_CALL_DIED":                 int64(AbortDied),
	"VDSET_CALL_LEFT":                 int64(AbortLeft),
	"VDSET_CALL_SERVER_TIMEOUT":       int64(AbortServerTimeout),
	"VDSET_CALL_POISONED":             int64(AbortPoisoned),
	"VDSET_LOSSES_KEPT":               int64(LossesKept),
}

// What Go has instead.
var constantsNotHere = map[string]string{
	"VDSET_OK":       "a nil error",
	"VDSET_INFINITE": "a context without a deadline",
}

var callsNotHere = map[string]string{
	"vdset_server_run_completion_agent": "it calls back from C; RunCompletionAgent pulls",
}

// table is the one that a compiled C program printed (tests/parity/make_table.py), rows by kind.
func table(t *testing.T) map[string][][]string {
	path := os.Getenv("VDSET_PARITY_TABLE")
	if path == "" {
		t.Skip("VDSET_PARITY_TABLE names no table")
	}
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	rows := map[string][][]string{}
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		words := strings.Split(scanner.Text(), "\t")
		rows[words[0]] = append(rows[words[0]], words[1:])
	}
	must(t, scanner.Err())
	if len(rows["constant"]) == 0 || len(rows["field"]) == 0 || len(rows["call"]) == 0 {
		t.Fatal("the table is empty: " + path)
	}
	return rows
}

func number(t *testing.T, word string) int64 {
	value, err := strconv.ParseInt(word, 10, 64)
	must(t, err)
	return value
}

func TestParityOfConstants(t *testing.T) {
	rows := table(t)
	seen := 0
	for _, row := range rows["constant"] {
		here, ok := constantsHere[row[0]]
		if _, isNot := constantsNotHere[row[0]]; isNot {
			continue
		}
		seen++
		if !ok {
			t.Errorf("%s is not in this package", row[0])
		} else if here != number(t, row[1]) {
			t.Errorf("%s is %d here, %s in the header", row[0], here, row[1])
		}
	}
	if seen != len(constantsHere) {
		t.Errorf("%d constants here, %d of them in the header", len(constantsHere), seen)
	}
	for _, row := range rows["error"] {
		code := Code(number(t, row[1]))
		if code.Name() != row[0] {
			t.Errorf("%d is %s here, %s in the header", code, code.Name(), row[0])
		}
	}
}

// kindOf is the table's word for a type.
func kindOf(field reflect.Type) string {
	switch field.Kind() {
	case reflect.Uint32, reflect.Uint64:
		return "u"
	case reflect.Int32, reflect.Int64:
		return "i"
	case reflect.Ptr, reflect.UnsafePointer:
		return "p"
	case reflect.Array:
		return "t"
	}
	return field.Kind().String()
}

func TestParityOfStructs(t *testing.T) {
	rows := table(t)
	here := layouts()
	fields := 0
	for _, row := range rows["struct"] {
		value, ok := here[row[0]]
		if !ok {
			t.Errorf("%s is not in this package", row[0])
			continue
		}
		kind := reflect.TypeOf(value)
		fields += kind.NumField()
		if int64(kind.Size()) != number(t, row[1]) || int64(kind.Align()) != number(t, row[2]) {
			t.Errorf("%s: %d bytes, aligned to %d, the header says %s", row[0], kind.Size(),
				kind.Align(), row[1:])
		}
	}
	if len(here) != len(rows["struct"]) || fields != len(rows["field"]) {
		t.Errorf("%d structs with %d fields, the header has %d with %d", len(here), fields,
			len(rows["struct"]), len(rows["field"]))
	}
	for _, row := range rows["field"] {
		field, ok := reflect.TypeOf(here[row[0]]).FieldByName(row[1])
		if !ok {
			t.Errorf("%s has no %s", row[0], row[1])
			continue
		}
		if int64(field.Offset) != number(t, row[2]) || int64(field.Type.Size()) != number(t, row[3]) ||
			kindOf(field.Type) != row[4] {
			t.Errorf("%s.%s: at %d, %d bytes, %s; the header says %s", row[0], row[1], field.Offset,
				field.Type.Size(), kindOf(field.Type), row[2:])
		}
	}
}

// The calls that the sources name, and those that the linked program takes from the library, by
// symbol and version.
func TestParityOfCalls(t *testing.T) {
	rows := table(t)
	named := map[string]bool{}
	sources, err := filepath.Glob("*.[gh]*")
	must(t, err)
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		must(t, err)
		for _, match := range regexp.MustCompile(`\bvdset_\w+`).FindAllString(string(text), -1) {
			named[match] = true
		}
	}
	program, err := elf.Open("/proc/self/exe")
	must(t, err)
	defer program.Close()
	imported := map[string]string{}
	symbols, err := program.ImportedSymbols()
	must(t, err)
	for _, symbol := range symbols {
		if strings.HasPrefix(symbol.Name, "vdset_") {
			imported[symbol.Name] = symbol.Version
		}
	}
	for _, row := range rows["call"] {
		name, node := row[0], row[3]
		if _, isNot := callsNotHere[name]; isNot {
			if imported[name] != "" {
				t.Errorf("%s is used after all", name)
			}
			continue
		}
		if !named[name] {
			t.Errorf("%s is used nowhere in this package", name)
		}
		if imported[name] != node {
			t.Errorf("%s is taken from node %q, it is in %s", name, imported[name], node)
		}
		delete(imported, name)
	}
	if len(imported) != 0 {
		t.Errorf("not in the header: %v", imported)
	}
}

// fillIn makes every field of a struct something else than zero.
func fillIn(t *testing.T, into interface{}) {
	value := reflect.ValueOf(into).Elem()
	for i := 0; i < value.NumField(); i++ {
		field := value.Field(i)
		switch {
		case field.Type() == reflect.TypeOf(time.Duration(0)):
			field.SetInt(int64(time.Duration(i+1) * time.Millisecond))
		case field.CanInt():
			field.SetInt(int64(i + 1))
		case field.CanUint():
			field.SetUint(uint64(i + 1))
		case field.Kind() == reflect.Bool:
			field.SetBool(true)
		case field.Kind() == reflect.String:
			field.SetString("text")
		case field.Type() == reflect.TypeOf([]uint32{}):
			field.Set(reflect.ValueOf([]uint32{7, 8}))
		default:
			t.Fatalf("a field of type %v", field.Type())
		}
	}
}

// allSet fails for fields of a C struct that are zero, but for those named.
func allSet(t *testing.T, of interface{}, but ...string) {
	value := reflect.ValueOf(of)
	zero := []string{}
	for i := 0; i < value.NumField(); i++ {
		if value.Field(i).IsZero() {
			zero = append(zero, value.Type().Field(i).Name)
		}
	}
	if !reflect.DeepEqual(zero, append([]string{}, but...)) {
		t.Errorf("%v: zero are %v", value.Type(), zero)
	}
}

func TestEveryFieldReachesC(t *testing.T) {
	var memory cMemory
	defer memory.free()
	var config Config
	fillIn(t, &config)
	cConfig, err := config.toC()
	must(t, err)
	allSet(t, cConfig, "block_bytes", "max_io_depth", "max_transfer_bytes", "buffer_area_bytes")
	back := configFromC(&cConfig)
	config.BlockBytes, config.MaxIODepth, config.MaxTransferBytes, config.BufferAreaBytes = 0, 0, 0, 0
	if back != config {
		t.Errorf("%+v came back as %+v", config, back)
	}
	cConfig.block_bytes, cConfig.max_io_depth, cConfig.max_transfer_bytes = 1, 2, 3
	cConfig.buffer_area_bytes = 4
	allSet(t, configFromC(&cConfig))

	var options SetOptions
	fillIn(t, &options)
	cOptions, err := memory.setOptions(&options)
	must(t, err)
	allSet(t, *cOptions)
	var join JoinOptions
	fillIn(t, &join)
	cJoin, err := memory.joinOptions(&join)
	must(t, err)
	allSet(t, *cJoin)
	var base BaseConfiguration
	fillIn(t, &base)
	cBase, err := base.toC()
	must(t, err)
	allSet(t, cBase)
}

package vdset

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// goCommand runs the tool that these tests were built by.
func goCommand(directory string, words ...string) *exec.Cmd {
	tool := os.Getenv("VDSET_GO")
	if tool == "" {
		tool = "go"
	}
	command := exec.Command(tool, words...)
	command.Dir = directory
	return command
}

// buildExample makes a program of the first Go block of the README, as a module of its own.
func buildExample(t *testing.T) string {
	readme, err := os.ReadFile("README.md")
	must(t, err)
	source := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	if source == nil {
		t.Fatal("the README has no Go program")
	}
	here, err := os.Getwd()
	must(t, err)
	directory := t.TempDir()
	must(t, os.WriteFile(filepath.Join(directory, "main.go"), source[1], 0o600))
	module := "module agent\n\ngo 1.19\n\nrequire vdset v0.0.0\n\nreplace vdset => " + here + "\n"
	must(t, os.WriteFile(filepath.Join(directory, "go.mod"), []byte(module), 0o600))
	for _, words := range [][]string{{"vet", "."}, {"build", "-o", "agent", "."}} {
		if output, err := goCommand(directory, words...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", words, err, output)
		}
	}
	return filepath.Join(directory, "agent")
}

func TestReadmeExample(t *testing.T) {
	const blocks = 50
	directory := meeting(t)
	agent := exec.Command(buildExample(t), "example")
	agent.Env = append(os.Environ(), "VDSET_RUNTIME_DIR="+directory)
	agent.Stderr = os.Stderr
	var backup bytes.Buffer
	agent.Stdout = &backup
	must(t, agent.Start())
	defer agent.Process.Kill()

	var server *Server
	eventually(t, "the agent makes its set", func() bool {
		var err error
		server, err = OpenServer("example", &JoinOptions{Directory: directory})
		return err == nil
	})
	defer server.Close()
	must(t, server.BeginConfiguration(BaseConfiguration{WriteMedia, 512, 0, 65536}))
	must(t, server.RequestBuffers(bufferSize, 0, 1))
	must(t, server.EndConfiguration())
	device, err := server.OpenDevice("example")
	must(t, err)
	buffer, err := server.AllocateBuffer(bufferSize, 0)
	must(t, err)
	var database bytes.Buffer
	send := func(command *ServerCommand) {
		must(t, device.SendCommand(command))
		done, err := server.NextCompletion(soon(t))
		must(t, err)
		if done.CompletionCode != Success || done.BytesTransferred != command.Size {
			t.Fatalf("code %d, %d bytes", done.CompletionCode, done.BytesTransferred)
		}
	}
	for i := 0; i < blocks; i++ {
		fill(buffer.Bytes(), i)
		database.Write(buffer.Bytes())
		send(&ServerCommand{Code: CommandWrite, Size: bufferSize, Buffer: buffer})
	}
	send(&ServerCommand{Code: CommandFlush})
	must(t, device.Close())
	must(t, agent.Wait())
	if !bytes.Equal(backup.Bytes(), database.Bytes()) {
		t.Errorf("a backup of %d bytes, not the database's %d", backup.Len(), database.Len())
	}
	must(t, server.Close())
}

// Docker's own reading of its profile format, for tests/docker_oracle.rs. Standard input: an array of profiles, as text, with the
// capabilities of a container; "" is the profile that Docker has by default. Standard output: for each what the engine is given, or
// why nothing, with the profile itself.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

type question struct {
	Profile      string   `json:"profile"`
	Capabilities []string `json:"capabilities"`
}

type answer struct {
	Profile string              `json:"profile"`
	Seccomp *specs.LinuxSeccomp `json:"seccomp"`
	Error   string              `json:"error"`
}

func ask(q question) answer {
	if q.Profile == "" {
		text, err := json.Marshal(seccomp.DefaultProfile())
		if err != nil {
			log.Fatal(err)
		}
		q.Profile = string(text)
	}
	process := &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: q.Capabilities}}
	given, err := seccomp.LoadProfile(q.Profile, &specs.Spec{Process: process})
	if err != nil {
		return answer{q.Profile, nil, err.Error()}
	}
	return answer{q.Profile, given, ""}
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		log.Fatal(err)
	}
	answers := []answer{}
	for _, q := range questions {
		answers = append(answers, ask(q))
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

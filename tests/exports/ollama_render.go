package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"text/template"
)

type message struct{ Role, Content string }

type request struct {
	Template string
	Cases    [][]message
}

// As Ollama does before a template: consecutive messages of one role become one.
func collate(messages []message) []*message {
	var found []*message
	for _, one := range messages {
		one := one
		if len(found) > 0 && found[len(found)-1].Role == one.Role {
			found[len(found)-1].Content += "\n\n" + one.Content
			continue
		}
		found = append(found, &one)
	}
	return found
}

func main() {
	data, _ := io.ReadAll(os.Stdin)
	var asked []request
	if err := json.Unmarshal(data, &asked); err != nil {
		panic(err)
	}
	var said [][]string
	for _, one := range asked {
		parsed := template.Must(template.New("").Option("missingkey=zero").Parse(one.Template))
		var texts []string
		for _, messages := range one.Cases {
			var text bytes.Buffer
			values := map[string]any{"Messages": collate(messages), "Response": ""}
			if err := parsed.Execute(&text, values); err != nil {
				panic(err)
			}
			texts = append(texts, text.String())
		}
		said = append(said, texts)
	}
	json.NewEncoder(os.Stdout).Encode(said)
}

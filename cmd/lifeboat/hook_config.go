package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"lifeboat/cmd/internal/config"
)

// hookConfig is as much of the configuration as fetching WAL takes, for the restore_command of a restored directory. It
// names files by their absolute paths and holds no secret. What this process knows from its environment only, which
// PostgreSQL does not have, is written out.
func hookConfig(cluster string, accesses []hookAccess) []byte {
	var text strings.Builder
	if len(accesses) == 1 {
		text.WriteString("repository:\n")
	} else {
		text.WriteString("repositories:\n")
	}
	for _, access := range accesses {
		if len(accesses) > 1 {
			fmt.Fprintf(&text, "- name: %s\n", yamlString(access.repository.Name.Value))
		}
		writeHookRepository(&text, access)
	}
	fmt.Fprintf(&text, "clusters:\n  %s: {}\n", cluster)
	return []byte(text.String())
}

func writeHookRepository(text *strings.Builder, access hookAccess) {
	r, from := access.repository, access.from
	fmt.Fprintf(text, "  url: %s\n", yamlString(r.URL.Value))
	switch r.Place().Scheme {
	case config.SchemeS3:
		writeSection(text, "s3", s3HookSettings(r.S3, from))
	case config.SchemeGCS:
		writeSection(text, "gcs", [][2]string{
			{"endpoint", r.GCS.Endpoint.Value}, {"ca_file", r.GCS.CAFile.Value}, {"credentials_file", from.file},
		})
	}
	writeSection(text, "encryption", [][2]string{{"identity_file", access.identity}})
	writeSection(text, "limits", limitSettings(r.Limits))
}

func s3HookSettings(o *config.S3, from credentialSource) [][2]string {
	list := [][2]string{
		{"endpoint", firstOf(o.Endpoint.Value, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"))},
		{"region", firstOf(o.Region.Value, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))},
		{"ca_file", firstOf(o.CAFile.Value, os.Getenv("AWS_CA_BUNDLE"))},
		{"credentials_file", from.file}, {"profile", from.profile},
	}
	if o.PathStyle {
		list = append(list, [2]string{"path_style", "true"})
	}
	return list
}

func limitSettings(l config.Limits) (list [][2]string) {
	if l.Download > 0 {
		list = append(list, [2]string{"download", strconv.FormatInt(int64(l.Download), 10) + "B/s"})
	}
	if l.Requests > 0 {
		list = append(list, [2]string{"requests", strconv.FormatFloat(float64(l.Requests), 'g', -1, 64) + "/s"})
	}
	return list
}

// writeSection writes the settings that have a value below a key of the repository.
func writeSection(text *strings.Builder, name string, settings [][2]string) {
	written := false
	for _, setting := range settings {
		if setting[1] == "" {
			continue
		}
		if !written {
			fmt.Fprintf(text, "  %s:\n", name)
			written = true
		}
		value := setting[1]
		if value != "true" {
			value = yamlString(value)
		}
		fmt.Fprintf(text, "    %s: %s\n", setting[0], value)
	}
}

// yamlString quotes a value so that YAML reads it back as it is: in single quotes only the quote has a meaning.
func yamlString(value string) string {
	return "'" + strings.ReplaceAll(value, "'", "''") + "'"
}

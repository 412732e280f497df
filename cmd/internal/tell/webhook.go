package tell

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// SignatureHeader holds "sha256=" and the HMAC-SHA256 of the body with the secret, hexadecimal.
const SignatureHeader = "X-Lifeboat-Signature"

// Webhook posts messages as JSON. Any answer of 200 to 299 means that the other side has it.
type Webhook struct {
	URL        string // may hold a secret: it is never logged
	SecretFile string // read for each message; empty: no signature
	Roots      *x509.CertPool
}

// Name implements Channel.
func (*Webhook) Name() string { return "webhook" }

// Send implements Channel.
func (w *Webhook) Send(ctx context.Context, m Message) error {
	request, err := w.request(ctx, m)
	if err != nil {
		return err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: w.Roots}, DisableKeepAlives: true}
	client := &http.Client{
		Transport: transport,
		// A message goes where the configuration says, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("post to %s: %w", request.URL.Host, withoutURL(err))
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // the status says all
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("post to %s: it answered %s", request.URL.Host, response.Status)
	}
	return nil
}

func (w *Webhook) request(ctx context.Context, m Message) (*http.Request, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write a notification: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the webhook's URL is not one")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "lifeboat")
	if w.SecretFile == "" {
		return request, nil
	}
	secret, err := readSecret(w.SecretFile)
	if err != nil {
		return nil, err
	}
	code := hmac.New(sha256.New, []byte(secret))
	_, _ = code.Write(body) // never fails
	request.Header.Set(SignatureHeader, "sha256="+hex.EncodeToString(code.Sum(nil)))
	return request, nil
}

// withoutURL drops the URL, in which a token may stand, from an error of net/http.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// readSecret reads a file of one line.
func readSecret(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	secret := strings.TrimRight(string(raw), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("read a secret: %s is empty", path)
	}
	return secret, nil
}

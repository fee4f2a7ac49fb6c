// ctlog is a certificate transparency log for rehearsals: TesseraCT's handler over a folder.
//
// Upstream's own command does not build from the module proxy (two of its dependencies are commits
// that no proxy serves); its library does.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/transparency-dev/tessera"
	tposix "github.com/transparency-dev/tessera/storage/posix"
	"github.com/transparency-dev/tesseract"
	"github.com/transparency-dev/tesseract/storage"
	"github.com/transparency-dev/tesseract/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

const (
	checkpointInterval = 500 * time.Millisecond
	batchAge           = 10 * time.Millisecond
	awaiterPoll        = 50 * time.Millisecond
	handlerDeadline    = 10 * time.Second
	headerTimeout      = 10 * time.Second
)

func main() {
	addr := flag.String("addr", "127.0.0.1:6962", "address to listen on")
	dir := flag.String("dir", "", "folder that keeps the log")
	key := flag.String("key", "", "P-256 key of the log, SEC 1 in PEM")
	roots := flag.String("roots", "", "accepted root certificates in PEM")
	origin := flag.String("origin", "localhost", "origin of the checkpoints")
	flag.Parse()
	if err := run(*addr, *dir, *key, *roots, *origin); err != nil {
		log.Fatal(err)
	}
}

func run(addr, dir, keyPath, roots, origin string) error {
	signer, err := readKey(keyPath)
	if err != nil {
		return err
	}
	ctx := context.Background()
	open := func(ctx context.Context, s note.Signer) (*storage.CTStorage, error) { return openStorage(ctx, dir, s) }
	chains := tesseract.ChainValidationConfig{RootsPEMFile: roots, ExtKeyUsages: "CodeSigning"}
	handler, err := tesseract.NewLogHandler(ctx, origin, signer, chains, open, handlerDeadline, false, "",
		tesseract.LogHandlerOpts{MaxCertChainBytes: 1 << 20})
	if err != nil {
		return fmt.Errorf("make the log's handler: %w", err)
	}
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: headerTimeout}
	return server.ListenAndServe()
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", path)
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

func openStorage(ctx context.Context, dir string, signer note.Signer) (*storage.CTStorage, error) {
	driver, err := tposix.New(ctx, tposix.Config{Path: dir})
	if err != nil {
		return nil, err
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCTLayout().
		WithCheckpointInterval(checkpointInterval).
		WithBatching(1, batchAge)
	appender, _, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return nil, err
	}
	issuers, err := posix.NewIssuerStorage(ctx, dir)
	if err != nil {
		return nil, err
	}
	return storage.NewCTStorage(ctx, &storage.CTStorageOptions{
		Appender: appender, Reader: reader, IssuerStorage: issuers, AwaiterPollInterval: awaiterPoll,
	})
}

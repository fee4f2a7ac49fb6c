// tsa is an RFC 3161 timestamp authority for rehearsals: Sigstore's server without the metrics
// port that upstream's command fixes at :2112, so that two rehearsals can run side by side.
package main

import (
	"flag"
	"log"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

func main() {
	port := flag.Int("port", 3004, "port on 127.0.0.1")
	key := flag.String("key", "", "encrypted PKCS #8 key file")
	password := flag.String("password", "", "password of the key")
	chain := flag.String("chain", "", "certificate chain in PEM, leaf first")
	flag.Parse()

	// The server reads its settings from viper; these are the names of upstream's flags.
	for name, value := range map[string]any{
		"timestamp-signer":          "file",
		"timestamp-signer-hash":     "sha256",
		"file-signer-key-path":      *key,
		"file-signer-passwd":        *password,
		"certificate-chain-path":    *chain,
		"default-policy-oid":        "1.3.6.1.4.1.57264.2",
		"enforce-intermediate-eku":  true,
		"include-chain-in-response": false,
		"max-request-body-size":     1 << 20,
	} {
		viper.Set(name, value)
	}
	s := server.NewRestAPIServer("127.0.0.1", *port, []string{"http"}, false, 10*time.Second, 10*time.Second)
	s.Port = *port
	log.Fatal(s.Serve())
}

// rekor1 is Rekor v1 for rehearsals, in one process: Trillian's log server and sequencer over its
// in-memory storage, then Rekor's own command. No MySQL, no Redis. What the log holds is gone when
// it ends; bundles made before still verify, for the key stays.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/client"
	"github.com/google/trillian/extension"
	tlog "github.com/google/trillian/log"
	"github.com/google/trillian/monitoring"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/server"
	"github.com/google/trillian/server/admin"
	"github.com/google/trillian/server/interceptor"
	"github.com/google/trillian/storage"
	"github.com/google/trillian/storage/memory"
	"github.com/google/trillian/util/clock"
	"github.com/google/trillian/util/election"
	"github.com/google/trillian/util/election2"
	"github.com/sigstore/rekor/cmd/rekor-server/app"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"k8s.io/klog/v2"
)

const (
	sequencerInterval = 50 * time.Millisecond
	sequencerBatch    = 1000
	maxRootAge        = time.Hour
	// A zero interval makes the sequencer resign its mastership over and over.
	masterHold = 24 * time.Hour
)

// once refuses a leaf that was queued before, as Trillian's SQL storages do and Rekor relies on
// (409 Conflict); the memory storage itself takes it twice.
type once struct {
	storage.LogStorage
	mu   sync.Mutex
	seen map[string]bool
}

func (o *once) QueueLeaves(ctx context.Context, t *trillian.Tree, leaves []*trillian.LogLeaf, at time.Time) ([]*trillian.QueuedLogLeaf, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]*trillian.QueuedLogLeaf, 0, len(leaves))
	for _, leaf := range leaves {
		id := string(leaf.LeafIdentityHash)
		if o.seen[id] {
			out = append(out, &trillian.QueuedLogLeaf{Leaf: leaf, Status: status.New(codes.AlreadyExists, "leaf already exists").Proto()})
			continue
		}
		queued, err := o.LogStorage.QueueLeaves(ctx, t, []*trillian.LogLeaf{leaf}, at)
		if err != nil {
			return nil, err
		}
		o.seen[id] = true
		out = append(out, queued...)
	}
	return out, nil
}

func main() {
	// The memory storage warns at every pass without a leaf.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)

	ctx := context.Background()
	address, err := serveTrillian(ctx)
	if err != nil {
		log.Fatal(err)
	}
	tree, err := plantTree(ctx, address.String())
	if err != nil {
		log.Fatal(err)
	}
	os.Args = append(os.Args, // after "serve ..."
		fmt.Sprintf("--trillian_log_server.tlog_id=%d", tree),
		fmt.Sprintf("--trillian_log_server.port=%d", address.Port),
		// Without a search index there is no need of Redis; both settings are wanted.
		"--enable_retrieve_api=false",
		"--enabled_api_endpoints=getLogInfo,getPublicKey,getLogProof,createLogEntry,getLogEntryByIndex,getLogEntryByUUID,searchLogQuery")
	app.Execute()
}

// serveTrillian starts the log server and the sequencer and returns the server's address.
func serveTrillian(ctx context.Context) (*net.TCPAddr, error) {
	trees, metrics := memory.NewTreeStorage(), monitoring.InertMetricFactory{}
	registry := extension.Registry{
		AdminStorage:    memory.NewAdminStorage(trees),
		LogStorage:      &once{LogStorage: memory.NewLogStorage(trees, metrics), seen: map[string]bool{}},
		ElectionFactory: election2.NoopFactory{},
		QuotaManager:    quota.Noop(),
		MetricFactory:   metrics,
	}
	intercept := interceptor.New(registry.AdminStorage, registry.QuotaManager, false, metrics)
	s := grpc.NewServer(grpc.ChainUnaryInterceptor(interceptor.ErrorWrapper, intercept.UnaryInterceptor))
	trillian.RegisterTrillianLogServer(s, server.NewTrillianLogRPCServer(registry, clock.System))
	trillian.RegisterTrillianAdminServer(s, admin.New(registry, nil))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { log.Fatal(s.Serve(listener)) }()
	go tlog.NewOperationManager(tlog.OperationInfo{
		Registry: registry, BatchSize: sequencerBatch, NumWorkers: 1, RunInterval: sequencerInterval, TimeSource: clock.System,
		ElectionConfig: election.RunnerConfig{MasterHoldInterval: masterHold},
	}, tlog.NewSequencerManager(registry, 0)).OperationLoop(ctx)
	return listener.Addr().(*net.TCPAddr), nil
}

// plantTree makes the log's tree with one leaf of no meaning: so no bundle has the log index 0,
// which protojson leaves out and stricter readers then miss.
func plantTree(ctx context.Context, address string) (int64, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	logs := trillian.NewTrillianLogClient(conn)
	tree, err := client.CreateAndInitTree(ctx, &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeType: trillian.TreeType_LOG, TreeState: trillian.TreeState_ACTIVE, MaxRootDuration: durationpb.New(maxRootAge),
	}}, trillian.NewTrillianAdminClient(conn), logs)
	if err != nil {
		return 0, err
	}
	leaf := &trillian.LogLeaf{LeafValue: []byte("0")}
	if _, err := logs.QueueLeaf(ctx, &trillian.QueueLeafRequest{LogId: tree.TreeId, Leaf: leaf}); err != nil {
		return 0, err
	}
	return tree.TreeId, nil
}

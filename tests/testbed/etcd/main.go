// Command etcd is upstream etcd, built from its Go module so that the testbed needs no download of binaries.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }

// Answers questions about trees and notes with golang.org/x/mod/sumdb: one JSON object a line in, one a line out.
//
// Leaf i of the tree with the salt s is the record "s/i".
package main

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type request struct {
	Op      string   `json:"op"`
	Salt    string   `json:"salt"`
	Size    int64    `json:"size"`
	Old     int64    `json:"old"`
	Index   int64    `json:"index"`
	Leaf    []byte   `json:"leaf"`
	Root    []byte   `json:"root"`
	OldRoot []byte   `json:"old_root"`
	Proof   [][]byte `json:"proof"`
	Note    string   `json:"note"`
	Keys    []string `json:"keys"`
	Name    string   `json:"name"`
	Seed    []byte   `json:"seed"`
}

type answer map[string]interface{}

type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = s[index]
	}
	return found, nil
}

func hash(raw []byte) (h tlog.Hash) {
	copy(h[:], raw)
	return h
}

func hashes(raw [][]byte) []tlog.Hash {
	found := make([]tlog.Hash, len(raw))
	for i, each := range raw {
		found[i] = hash(each)
	}
	return found
}

func lines(hashes []tlog.Hash) []string {
	found := make([]string, len(hashes))
	for i, each := range hashes {
		found[i] = each.String()
	}
	return found
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func grow(salt string, size int64) stored {
	var all stored
	for i := int64(0); i < size; i++ {
		added, err := tlog.StoredHashes(i, []byte(fmt.Sprintf("%s/%d", salt, i)), all)
		must(err)
		all = append(all, added...)
	}
	return all
}

func root(all stored, size int64) string {
	found, err := tlog.TreeHash(size, all)
	must(err)
	return found.String()
}

func respond(r request) answer {
	switch r.Op {
	case "tree":
		all := grow(r.Salt, r.Size)
		inclusion, err := tlog.ProveRecord(r.Size, r.Index, all)
		must(err)
		consistency, err := tlog.ProveTree(r.Size, r.Old, all)
		must(err)
		return answer{
			"root": root(all, r.Size), "old_root": root(all, r.Old),
			"inclusion": lines(inclusion), "consistency": lines(consistency),
		}
	case "tiles":
		all := grow(r.Salt, r.Size)
		found := map[string]string{}
		for _, tile := range tlog.NewTiles(8, r.Old, r.Size) {
			data, err := tlog.ReadTileData(tile, all)
			must(err)
			found[strings.Replace(tile.Path(), "tile/8/", "tile/", 1)] = base64.StdEncoding.EncodeToString(data)
		}
		return answer{"tiles": found}
	case "check":
		return answer{
			"inclusion": tlog.CheckRecord(hashes(r.Proof), r.Size, hash(r.Root), r.Index, hash(r.Leaf)) == nil,
		}
	case "check-consistency":
		return answer{"consistency": tlog.CheckTree(hashes(r.Proof), r.Size, hash(r.Root), r.Old, hash(r.OldRoot)) == nil}
	case "open":
		var known []note.Verifier
		for _, key := range r.Keys {
			verifier, err := note.NewVerifier(key)
			if err != nil {
				return answer{"error": err.Error()}
			}
			known = append(known, verifier)
		}
		opened, err := note.Open([]byte(r.Note), note.VerifierList(known...))
		if err != nil {
			return answer{"error": err.Error()}
		}
		names := []string{}
		for _, each := range opened.Sigs {
			names = append(names, each.Name)
		}
		return answer{"text": opened.Text, "names": names, "unverified": len(opened.UnverifiedSigs)}
	case "sign":
		private := ed25519.NewKeyFromSeed(r.Seed)
		key, err := note.NewEd25519VerifierKey(r.Name, private.Public().(ed25519.PublicKey))
		must(err)
		id := strings.Split(key, "+")[1]
		secret := base64.StdEncoding.EncodeToString(append([]byte{1}, r.Seed...))
		signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", r.Name, id, secret))
		must(err)
		signed, err := note.Sign(&note.Note{Text: r.Note}, signer)
		must(err)
		return answer{"key": key, "note": string(signed)}
	}
	panic("unknown op " + r.Op)
}

func main() {
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		must(json.Unmarshal(line, &r))
		must(output.Encode(respond(r)))
	}
}

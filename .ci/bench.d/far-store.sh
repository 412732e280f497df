# An S3 server with a delay before it, for every tool; to be sourced.

# start_far_store starts an S3 server that is as far away as LATENCY says. pgBackRest speaks to none without TLS.
start_far_store() {
	mkdir -p store/bench side
	openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out tls.crt -days 2 -subj /CN=127.0.0.1 \
		-addext "subjectAltName=IP:127.0.0.1" >output 2>&1 || fail "$(cat output)"
	local behind=$((20000 + RANDOM % 20000))
	ROOT_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID ROOT_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY \
		bin/versitygw --port "127.0.0.1:$behind" --region us-east-1 --quiet --keep-alive --cert "$temp/tls.crt" --key "$temp/tls.key" \
		posix --sidecar "$temp/side" "$temp/store" >store.log 2>&1 &
	far_store=$!
	bin/delay "127.0.0.1:$behind" "$LATENCY" >delay.port 2>delay.log &
	far_away=$!
	until (exec 3<>"/dev/tcp/127.0.0.1/$behind") 2>/dev/null && [[ -s delay.port ]]; do
		sleep 0.1
		kill -0 "$far_store" && kill -0 "$far_away" || fail "the S3 server does not start: $(cat store.log delay.log)"
	done
	port=$(cat delay.port)
}

stop_far_store() { [[ -z ${far_store-} ]] || kill "$far_store" "$far_away" 2>/dev/null || true; }

# pgbackrest_in_s3 is the part of its settings that names the store.
pgbackrest_in_s3() {
	cat <<-END
		[global]
		repo1-type=s3
		repo1-s3-bucket=bench
		repo1-s3-endpoint=127.0.0.1
		repo1-s3-region=us-east-1
		repo1-s3-key=$AWS_ACCESS_KEY_ID
		repo1-s3-key-secret=$AWS_SECRET_ACCESS_KEY
		repo1-s3-uri-style=path
		repo1-storage-host=127.0.0.1
		repo1-storage-port=$port
		repo1-storage-verify-tls=n
	END
}

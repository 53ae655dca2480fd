"""The health check of gRPC: calls the server at an address, or serves and prints its port."""
import concurrent.futures
import sys

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

if sys.argv[1] == "serve":
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=4))
    servicer = health.HealthServicer()
    servicer.set("pond", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()

with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = health_pb2_grpc.HealthStub(channel)
    pond = health_pb2.HealthCheckRequest(service="pond")
    name = health_pb2.HealthCheckResponse.ServingStatus.Name
    status = name(stub.Check(pond).status)
    watch = stub.Watch(pond)
    event = name(next(watch).status)
    watch.cancel()
    try:
        stub.Check(health_pb2.HealthCheckRequest(service="desert"))
    except grpc.RpcError as error:
        print(status, event, error.code().name)

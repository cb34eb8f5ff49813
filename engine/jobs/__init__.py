"""Jobs: the durable queue, the dispatcher and the executors that run attempts. Nothing here imports torch."""

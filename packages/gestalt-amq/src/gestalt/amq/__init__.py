"""Topic publish and subscribe, and request and reply, over RabbitMQ."""

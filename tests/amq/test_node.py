import aio_pika


async def publish_and_get(url: str, queue_name: str) -> bytes:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(queue_name, durable=True)
        await channel.default_exchange.publish(
            aio_pika.Message(b"hello", delivery_mode=2), routing_key=queue_name
        )
        message = await queue.get()
        await message.ack()
        return message.body


async def test_the_broker_takes_and_gives_messages(broker_url: str, unique: str) -> None:
    assert await publish_and_get(broker_url, unique) == b"hello"

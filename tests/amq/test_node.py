import asyncio

import aio_pika

from rabbitmq import RabbitMQNode


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


async def test_the_broker_takes_and_gives_messages(rabbitmq_url: str, unique: str) -> None:
    assert await publish_and_get(rabbitmq_url, unique) == b"hello"


async def test_control_reaches_the_node(rabbitmq_node: RabbitMQNode) -> None:
    assert rabbitmq_node.name in await asyncio.to_thread(rabbitmq_node.control, "status")

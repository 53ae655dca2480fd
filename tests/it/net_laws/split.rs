//! The halves of a stream.

use super::{Place, pattern, read, read_all, write};
use futures::{AsyncReadExt, AsyncWriteExt};

laws! {
    halves_work_in_two_tasks,
    dropping_the_write_half_sends_the_end_to_the_peer,
    dropping_the_read_half_leaves_the_write_half_working,
    dropping_both_halves_closes_the_connection,
    forgetting_the_write_half_leaves_the_connection_open,
    reuniting_the_halves_restores_the_stream,
    halves_of_two_streams_cannot_be_reunited,
}

async fn halves_work_in_two_tasks(place: Place) {
    const BYTES: usize = 1 << 17;
    for (stream, peer) in place.pairs().await {
        let echo = glassfrog::spawn(async move {
            let (reader, mut writer) = peer.into_split();
            futures::io::copy(reader, &mut writer).await
        });
        let bytes = pattern(BYTES, 3);
        let (mut reader, mut writer) = stream.into_split();
        let sent = bytes.clone();
        let writing = glassfrog::spawn(async move { writer.write_all(&sent).await });
        let reading = glassfrog::spawn(async move {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await.map(|_| all)
        });
        writing.await.unwrap().unwrap();
        assert!(reading.await.unwrap().unwrap() == bytes);
        assert_eq!(echo.await.unwrap().unwrap(), BYTES as u64);
    }
}

async fn dropping_the_write_half_sends_the_end_to_the_peer(place: Place) {
    for (stream, peer) in place.pairs().await {
        let (mut reader, mut writer) = stream.into_split();
        writer.write_all(b"question").await.unwrap();
        drop(writer);
        assert_eq!(read_all(&peer, 64).await.unwrap(), b"question");
        write(&peer, b"answer").await;
        drop(peer);
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }
}

async fn dropping_the_read_half_leaves_the_write_half_working(place: Place) {
    for (stream, peer) in place.pairs().await {
        let (reader, mut writer) = stream.into_split();
        drop(reader);
        writer.write_all(b"hello").await.unwrap();
        drop(writer);
        assert_eq!(read_all(&peer, 64).await.unwrap(), b"hello");
    }
}

async fn dropping_both_halves_closes_the_connection(place: Place) {
    for (stream, peer) in place.pairs().await {
        let (reader, writer) = stream.into_split();
        drop(writer);
        drop(reader);
        assert_eq!(read_all(&peer, 64).await.unwrap(), b"");
    }
}

async fn forgetting_the_write_half_leaves_the_connection_open(place: Place) {
    for (stream, peer) in place.pairs().await {
        let (reader, writer) = stream.into_split();
        writer.forget();
        write(reader.as_ref(), b"still here").await;
        drop(reader);
        assert_eq!(read_all(&peer, 64).await.unwrap(), b"still here");
    }
}

async fn reuniting_the_halves_restores_the_stream(place: Place) {
    for (stream, peer) in place.pairs().await {
        let (reader, writer) = stream.into_split();
        let (reader, writer) = writer.reunite(reader).unwrap().into_split();
        let stream = reader.reunite(writer).unwrap();
        // Neither dropped write half shut anything down.
        write(&stream, b"question").await;
        assert_eq!(read(&peer, 8).await, b"question");
        write(&peer, b"answer").await;
        drop(peer);
        assert_eq!(read_all(&stream, 64).await.unwrap(), b"answer");
    }
}

async fn halves_of_two_streams_cannot_be_reunited(place: Place) {
    let (one, one_peer) = place.pair().await;
    let (two_peer, two) = place.pair().await;
    let (one_reader, one_writer) = one.into_split();
    let (two_reader, two_writer) = two.into_split();
    let error = one_reader.reunite(two_writer).unwrap_err();
    assert!(error.to_string().contains("different streams"), "{error}");
    let one = error.0.reunite(one_writer).unwrap();
    let two = error.1.reunite(two_reader).unwrap();
    for (stream, peer) in [(one, one_peer), (two, two_peer)] {
        write(&stream, b"whole").await;
        assert_eq!(read(&peer, 5).await, b"whole");
    }
}

//! `async-fs`: files, on the threads of the crate `blocking`. Nothing to write: it runs as it is.

use glassfrog::prelude::*;
use glassfrog_interop::assert_threads;
use std::env;
use std::io::SeekFrom;
use std::process;

#[test]
fn files_are_written_read_and_listed() {
    glassfrog::block_on(async {
        let dir = env::temp_dir().join(format!("glassfrog-interop-{}", process::id()));
        async_fs::create_dir(&dir).await.unwrap();
        let path = dir.join("a");

        let mut file = async_fs::File::create(&path).await.unwrap();
        let text = vec![b'x'; 1_000_000];
        file.write_all(&text).await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(async_fs::read(&path).await.unwrap(), text);

        let mut file = async_fs::File::open(&path).await.unwrap();
        file.seek(SeekFrom::End(-3)).await.unwrap();
        let mut end = Vec::new();
        file.read_to_end(&mut end).await.unwrap();
        assert_eq!(end, b"xxx");

        let mut entries = async_fs::read_dir(&dir).await.unwrap();
        let entry = entries.try_next().await.unwrap().unwrap();
        assert_eq!(entry.file_name(), "a");
        assert!(entries.try_next().await.unwrap().is_none());
        assert_threads(&["blocking-"]);
        async_fs::remove_dir_all(&dir).await.unwrap();
    });
}
